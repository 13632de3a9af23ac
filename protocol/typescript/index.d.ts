// The types of everything that travels between a Studyhall server and its clients.
// Made by `make documents` from protocol/src, version 0.1.0: change it there.

/** Lower case, with hyphens. */
export type Uuid = string;
/** UTC with microseconds, such as `2026-11-23T06:49:40.101669Z`. */
export type Timestamp = string;
/** Such as `2026-11-23`. */
export type Day = string;

/** The name of a channel. */
export type Channel = `${ChannelKind}:${Uuid}`;
export type ChannelKind = 'user' | 'profile' | 'workspace';

/** The name of a command, or of what else `rpc` does. */
export type Method = keyof Commands;
/** What `rpc` takes: the fields, and beside those of a command an operation id, which makes a retry safe. */
export type RpcData<M extends Method> = Commands[M]['data'] & (M extends 'presence.set' ? {} : { op?: Uuid | null });
/** What `rpc` answers, as does REST. */
export type RpcAnswer<M extends Method> = Commands[M]['answer'];

/** The name of an event. */
export type EventType = keyof Events;
/** An event as it travels: the `data` of a publication with an offset. Narrow it by its `type`. */
export type Event<T extends EventType = EventType> = {
  [N in T]: {
    type: N;
    /** Whose command it was; `null` when it sums up several. */
    actor: Uuid | null;
    /** The operation id of that command. */
    op: Uuid | null;
    /** When it happened, by the database's clock. */
    at: Timestamp;
    /** The full new state of what changed, or its id when it is gone. */
    data: Events[N]['data'];
  };
}[T];
/** The events of one kind of channel. */
export type EventOn<K extends ChannelKind> = Event<{ [N in EventType]: Events[N]['on'] extends K ? N : never }[EventType]>;
/** An event of a page of the log, with its number. */
export type LoggedEvent = { offset: number } & Event;

/** The type of a publication without a number. */
export type PublicationType = keyof Publications;
type Where<F extends string, V extends string> = {
  [N in PublicationType]: Publications[N] extends { [P in F]: V } ? N : never;
}[PublicationType];
/** What clients publish in a room. `data: null` clears a slot. */
export type Publication<T extends Where<'by', 'clients'> = Where<'by', 'clients'>> = {
  [N in T]: { type: N; data: Publications[N]['data'] } & Publications[N]['key'];
}[T];
/** What everybody in the channel gets: a publication without an offset. Narrow it by its `type`. */
export type Published<T extends PublicationType = PublicationType> = {
  [N in T]: { type: N; data: Publications[N]['data'] } & Publications[N]['key'] &
    (N extends 'slots' ? {} : { /** Who is behind it; set by the server. */ actor: Uuid });
}[T];
/** What a slot of a room holds. */
export type SlotValue = Published<Where<'life', 'slot'> & Where<'on', 'workspace'>>;
/** The `data` of any publication on one kind of channel. */
export type Message<K extends ChannelKind> = EventOn<K> | Published<Where<'on', K>>;

/** Such as `GET /tasks/{id}`. */
export type CallName = keyof Calls;

/** The word that an error begins with: `code` of a problem, and the beginning of the `message` of an `rpc` error. */
export type ErrorCode = keyof ErrorCodes;

/** What `rpc` does: the fields of each command, and what it answers. */
export interface Commands {
  /** Change my profile. */
  'profile.update': { data: ProfilePatch; answer: Answer<Me> };
  /** Change my settings. */
  'settings.update': { data: SettingsPatch; answer: Answer<Settings> };
  /** Follow somebody. */
  'user.follow': { data: UserRef; answer: Answer<Follow> };
  /** Follow somebody no longer. */
  'user.unfollow': { data: UserRef; answer: Answer<FollowRef> };
  /** Have nothing to do with somebody any more. */
  'user.block': { data: UserRef; answer: Answer<Block> };
  /** Let somebody find me again. */
  'user.unblock': { data: UserRef; answer: Answer<BlockRef> };
  /** Post something. */
  'post.create': { data: NewPost; answer: Answer<Post> };
  /** Edit a post of mine. */
  'post.update': { data: PostPatch; answer: Answer<Post> };
  /** Delete a post of mine, with its comments and likes. */
  'post.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Like a post. */
  'post.like': { data: PostRef; answer: Answer<PostLikes> };
  /** Like a post no longer. */
  'post.unlike': { data: PostRef; answer: Answer<PostLikes> };
  /** Say something about a post. */
  'comment.create': { data: NewComment; answer: Answer<CommentChanged> };
  /** Edit a comment of mine. */
  'comment.update': { data: CommentPatch; answer: Answer<CommentChanged> };
  /** Delete a comment: my own, or one on a post of mine. */
  'comment.delete': { data: RowRef; answer: Answer<CommentDeleted> };
  /** Make a list. */
  'task_list.create': { data: NewTaskList; answer: Answer<TaskList> };
  /** Rename or describe a list. */
  'task_list.update': { data: TaskListPatch; answer: Answer<TaskList> };
  /** Delete a list with its tasks. */
  'task_list.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Add a task to a list. */
  'task.create': { data: NewTask; answer: Answer<Task> };
  /** Change or tick a task. */
  'task.update': { data: TaskPatch; answer: Answer<Task> };
  /** Put a task elsewhere. */
  'task.move': { data: TaskMove; answer: Answer<TaskMoved> };
  /** Delete a task. */
  'task.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Put something into the calendar, at the end of its day. */
  'calendar_event.create': { data: NewCalendarEvent; answer: Answer<CalendarEvent> };
  /** Change something in the calendar. */
  'calendar_event.update': { data: CalendarEventPatch; answer: Answer<CalendarEvent> };
  /** Put it elsewhere in its day, or into another day. */
  'calendar_event.move': { data: CalendarEventMove; answer: Answer<MovedCalendarEvent> };
  /** Take it out of the calendar, with its reminders. */
  'calendar_event.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Be reminded of something in the calendar. */
  'reminder.create': { data: NewReminder; answer: Answer<Reminder> };
  /** Be reminded no more. */
  'reminder.delete': { data: RowRef; answer: Answer<Deleted> };
  /** I have read this notification. */
  'notification.read': { data: RowRef; answer: Answer<NotificationsRead> };
  /** I have read all notifications, or those that were there at a time. */
  'notification.read_all': { data: ReadNotifications; answer: Answer<NotificationsRead> };
  /** Make a room; I own it. */
  'workspace.create': { data: NewWorkspace; answer: Answer<Workspace> };
  /** Change a room's name, background or settings. */
  'workspace.update': { data: WorkspacePatch; answer: Answer<Workspace> };
  /** Delete a room; the owner only. */
  'workspace.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Let somebody in; the owner only. */
  'member.add': { data: MemberRef; answer: Answer<Member> };
  /** Put somebody out (the owner), or leave. */
  'member.remove': { data: MemberRef; answer: Answer<MemberGone> };
  /** Add a widget to a room. */
  'widget.create': { data: NewWidget; answer: Answer<Widget> };
  /** Change a widget's title or settings. */
  'widget.update': { data: WidgetPatch; answer: Answer<Widget> };
  /** Drop a widget in a new place. */
  'widget.move': { data: WidgetMove; answer: Answer<WidgetMoved> };
  /** Take a widget away. */
  'widget.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Make a course; I own it. */
  'course.create': { data: NewCourse; answer: Answer<Course> };
  /** Rename a course; the owner only. */
  'course.update': { data: CoursePatch; answer: Answer<Course> };
  /** Delete a course; the owner only. Assignments stay, without it. */
  'course.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Let somebody into a course; the owner only. */
  'course_member.add': { data: CourseMemberRef; answer: Answer<Course> };
  /** Put somebody out of a course (the owner), or leave it. */
  'course_member.remove': { data: CourseMemberRef; answer: Answer<CourseMemberGone> };
  /** Add something that is due. */
  'assignment.create': { data: NewAssignment; answer: Answer<Assignment> };
  /** Change something that is due. */
  'assignment.update': { data: AssignmentPatch; answer: Answer<Assignment> };
  /** Delete something that is due. */
  'assignment.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Add a button to the quick launch. */
  'resource.create': { data: NewStudyResource; answer: Answer<StudyResource> };
  /** Change a button. */
  'resource.update': { data: StudyResourcePatch; answer: Answer<StudyResource> };
  /** Put a button elsewhere. */
  'resource.move': { data: RowMove; answer: Answer<MovedStudyResource> };
  /** Delete a button. */
  'resource.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Add a focus area. */
  'focus_entry.create': { data: NewFocusEntry; answer: Answer<FocusEntry> };
  /** Change a focus area. */
  'focus_entry.update': { data: FocusEntryPatch; answer: Answer<FocusEntry> };
  /** Put a focus area elsewhere. */
  'focus_entry.move': { data: RowMove; answer: Answer<MovedFocusEntry> };
  /** Delete a focus area. */
  'focus_entry.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Add a playlist. */
  'playlist.create': { data: NewStudyPlaylist; answer: Answer<StudyPlaylist> };
  /** Change a playlist. */
  'playlist.update': { data: StudyPlaylistPatch; answer: Answer<StudyPlaylist> };
  /** Put a playlist elsewhere. */
  'playlist.move': { data: RowMove; answer: Answer<MovedStudyPlaylist> };
  /** Delete a playlist. */
  'playlist.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Say how far I have come on a day. */
  'progress_metric.record': { data: MetricRecord; answer: Answer<ProgressMetric> };
  /** Delete what I said of a day. */
  'progress_metric.delete': { data: RowRef; answer: Answer<MetricGone> };
  /** Show a tag on my profile. */
  'user_tag.add': { data: TagRef; answer: Answer<Me> };
  /** Show it no longer. */
  'user_tag.remove': { data: TagRef; answer: Answer<Me> };
  /** Say what a file of mine belongs to, or that it belongs to nothing. */
  'attachment.link': { data: AttachmentLink; answer: Answer<Attachment> };
  /** Delete a file of mine. */
  'attachment.delete': { data: RowRef; answer: Answer<Deleted> };
  /** Tell what I am doing. */
  'presence.set': { data: PresenceSet; answer: Answer<Presence> };
}

/** The numbered events: the kind of channel that each is on, and its data. */
export interface Events {
  /** My own account, private fields included. */
  'user.updated': { on: 'user'; data: Me };
  /** These sign-ins are over. */
  'session.ended': { on: 'user'; data: SessionsEnded };
  /** My settings, on whatever device I changed them. */
  'settings.updated': { on: 'user'; data: Settings };
  /** I follow somebody. */
  'follow.created': { on: 'user'; data: Follow };
  /** I follow somebody no longer. */
  'follow.deleted': { on: 'user'; data: FollowRef };
  /** I blocked somebody. */
  'block.created': { on: 'user'; data: Block };
  /** I blocked somebody no longer. */
  'block.deleted': { on: 'user'; data: BlockRef };
  /** I like a post, on whatever device I said so. */
  'post.liked': { on: 'user'; data: OwnLike };
  /** I like it no longer. */
  'post.unliked': { on: 'user'; data: OwnLike };
  /** A list of mine is new. */
  'task_list.created': { on: 'user'; data: TaskList };
  /** A list of mine was changed. */
  'task_list.updated': { on: 'user'; data: TaskList };
  /** A list of mine is gone, and its tasks with it. */
  'task_list.deleted': { on: 'user'; data: Deleted };
  /** A task is new. */
  'task.created': { on: 'user'; data: Task };
  /** A task was changed or ticked. */
  'task.updated': { on: 'user'; data: Task };
  /** A task is elsewhere. */
  'task.moved': { on: 'user'; data: TaskMoved };
  /** A task is gone. */
  'task.deleted': { on: 'user'; data: Deleted };
  /** Something is new in my calendar. */
  'calendar_event.created': { on: 'user'; data: CalendarEvent };
  /** Something in my calendar was changed; it may be on another day now. */
  'calendar_event.updated': { on: 'user'; data: CalendarEvent };
  /** Something in my calendar is elsewhere. */
  'calendar_event.moved': { on: 'user'; data: MovedCalendarEvent };
  /** It is out of my calendar, and its reminders and notifications with it. */
  'calendar_event.deleted': { on: 'user'; data: Deleted };
  /** I will be reminded. */
  'reminder.created': { on: 'user'; data: Reminder };
  /** I will not be reminded. */
  'reminder.deleted': { on: 'user'; data: Deleted };
  /** Now: this is the reminder. */
  'reminder.fired': { on: 'user'; data: Reminder };
  /** I am told of something. */
  'notification.created': { on: 'user'; data: Notification };
  /** More of the same before I read of it, or less. */
  'notification.updated': { on: 'user'; data: Notification };
  /** These notifications are gone. */
  'notification.deleted': { on: 'user'; data: NotificationsGone };
  /** I have read these notifications, on whatever device. */
  'notifications.read': { on: 'user'; data: NotificationsRead };
  /** I am in a room now. */
  'membership.created': { on: 'user'; data: Member };
  /** I am not in that room any more. */
  'membership.deleted': { on: 'user'; data: MemberGone };
  /** A course is among mine now: I made it, or was let in. */
  'course.created': { on: 'user'; data: Course };
  /** A course of mine was changed, or who is in it. */
  'course.updated': { on: 'user'; data: Course };
  /** A course is not among mine any more: it is gone, or I am out. */
  'course.deleted': { on: 'user'; data: Deleted };
  /** Something new is due. */
  'assignment.created': { on: 'user'; data: Assignment };
  /** Something that is due was changed, by me, by the end of a course or by the passing of days. */
  'assignment.updated': { on: 'user'; data: Assignment };
  /** Something is due no longer. */
  'assignment.deleted': { on: 'user'; data: Deleted };
  /** A button is new. */
  'resource.created': { on: 'user'; data: StudyResource };
  /** A button was changed. */
  'resource.updated': { on: 'user'; data: StudyResource };
  /** A button is elsewhere. */
  'resource.moved': { on: 'user'; data: MovedStudyResource };
  /** A button is gone. */
  'resource.deleted': { on: 'user'; data: Deleted };
  /** A focus area is new. */
  'focus_entry.created': { on: 'user'; data: FocusEntry };
  /** A focus area was changed. */
  'focus_entry.updated': { on: 'user'; data: FocusEntry };
  /** A focus area is elsewhere. */
  'focus_entry.moved': { on: 'user'; data: MovedFocusEntry };
  /** A focus area is gone. */
  'focus_entry.deleted': { on: 'user'; data: Deleted };
  /** A playlist is new. */
  'playlist.created': { on: 'user'; data: StudyPlaylist };
  /** A playlist was changed. */
  'playlist.updated': { on: 'user'; data: StudyPlaylist };
  /** A playlist is elsewhere. */
  'playlist.moved': { on: 'user'; data: MovedStudyPlaylist };
  /** A playlist is gone. */
  'playlist.deleted': { on: 'user'; data: Deleted };
  /** How far I have come on a day. */
  'progress_metric.recorded': { on: 'user'; data: ProgressMetric };
  /** What I said of a day is gone. */
  'progress_metric.deleted': { on: 'user'; data: MetricGone };
  /** What everybody may see. */
  'profile.updated': { on: 'profile'; data: User };
  /** The author posted something. */
  'post.created': { on: 'profile'; data: Post };
  /** The author edited a post. */
  'post.updated': { on: 'profile'; data: Post };
  /** A post is gone, and its comments and likes with it. */
  'post.deleted': { on: 'profile'; data: Deleted };
  /** How many people like these posts now. */
  'post.likes_changed': { on: 'profile'; data: LikesChanged };
  /** Somebody said something about a post of this person. */
  'comment.created': { on: 'profile'; data: CommentChanged };
  /** Somebody edited a comment on a post of this person. */
  'comment.updated': { on: 'profile'; data: CommentChanged };
  /** A comment on a post of this person is gone. */
  'comment.deleted': { on: 'profile'; data: CommentDeleted };
  /** The person is gone; nothing comes after this. */
  'profile.deleted': { on: 'profile'; data: Deleted };
  /** Something that was said by somebody who was erased since. There is nothing to do. */
  'event.erased': { on: 'profile'; data: Emptied };
  /** The room is new. */
  'workspace.created': { on: 'workspace'; data: Workspace };
  /** The room's name, background or settings changed. */
  'workspace.updated': { on: 'workspace'; data: Workspace };
  /** The room is gone; nothing comes after this. */
  'workspace.deleted': { on: 'workspace'; data: Deleted };
  /** Somebody is a member now. */
  'member.added': { on: 'workspace'; data: Member };
  /** Somebody is a member no longer; they see nothing after this. */
  'member.removed': { on: 'workspace'; data: MemberGone };
  /** A widget is new. */
  'widget.created': { on: 'workspace'; data: Widget };
  /** A widget's title or settings changed. */
  'widget.updated': { on: 'workspace'; data: Widget };
  /** The drop; values of its drag are void from here on. */
  'widget.moved': { on: 'workspace'; data: WidgetMoved };
  /** A widget is gone. */
  'widget.deleted': { on: 'workspace'; data: Deleted };
  /** A file of mine is new. */
  'attachment.created': { on: 'user'; data: Attachment };
  /** A file of mine belongs to something else now. */
  'attachment.updated': { on: 'user'; data: Attachment };
  /** A file of mine is gone. */
  'attachment.deleted': { on: 'user'; data: Deleted };
  /** A file belongs to the room now. */
  'attachment.linked': { on: 'workspace'; data: Attachment };
  /** A file does not belong to the room any more. */
  'attachment.unlinked': { on: 'workspace'; data: Deleted };
}

/** What travels without a number: slots, whose latest value is kept, and broadcasts. */
export interface Publications {
  /** A widget on its way. Members only; one person holds it at a time. */
  drag: { on: 'workspace'; life: 'slot'; by: 'clients'; key: { key: Uuid }; data: Drag | null };
  /** Where somebody's pointer is: free JSON, at most 1 KiB. */
  pointer: { on: 'workspace'; life: 'slot'; by: 'clients'; key: { key?: Uuid }; data: unknown };
  /** Whether somebody types: free JSON, at most 1 KiB. */
  typing: { on: 'workspace'; life: 'slot'; by: 'clients'; key: { key?: Uuid }; data: unknown };
  /** A reaction: free JSON, at most 8 KiB. */
  reaction: { on: 'workspace'; life: 'broadcast'; by: 'clients'; key: { key?: string }; data: unknown };
  /** A nudge: free JSON, at most 8 KiB. */
  nudge: { on: 'workspace'; life: 'broadcast'; by: 'clients'; key: { key?: string }; data: unknown };
  /** What a front-end tells the others in the room: free JSON, at most 8 KiB. Members only. */
  custom: { on: 'workspace'; life: 'broadcast'; by: 'clients'; key: { key?: string }; data: unknown };
  /** Whether the person is here, as far as they allow it. */
  presence: { on: 'profile'; life: 'slot'; by: 'server'; key: { key: Uuid }; data: Presence | null };
  /** To a reader that fell far behind: people and slots as they are now. Replaces all that was known. */
  slots: { on: 'workspace'; life: 'broadcast'; by: 'server'; key: {}; data: Present };
}

/** The calls of REST, below `/api/v1`. */
export interface Calls {
  /** Makes an account and signs in to it. */
  'POST /accounts': { path: {}; query: {}; body: NewAccount; answer: SignedIn };
  /** Signs in. */
  'POST /sessions': { path: {}; query: {}; body: Credentials; answer: SignedIn };
  /** My sign-ins, newest first. */
  'GET /sessions': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<SignIn> };
  /** Signs out. */
  'DELETE /sessions/current': { path: {}; query: {}; body: undefined; answer: undefined };
  /** Ends another sign-in of mine. */
  'DELETE /sessions/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: undefined };
  /** My own account, with what only I see. */
  'GET /me': { path: {}; query: {}; body: undefined; answer: Answer<Me> };
  /** Change my profile. */
  'PATCH /me': { path: {}; query: {}; body: ProfilePatch; answer: Answer<Me> };
  /** Sets a new password and ends all other sign-ins. */
  'POST /me/password': { path: {}; query: {}; body: PasswordChange; answer: Answer<SessionsEnded> };
  /** Erases me. From now on nobody can sign in as me; what others see of me is gone a moment later. */
  'POST /me/erasure': { path: {}; query: {}; body: Erasure; answer: undefined };
  /** All that is stored of me, as one archive: an array of rows for each table. */
  'GET /me/export': { path: {}; query: {}; body: undefined; answer: Record<string, unknown> };
  /** My settings. */
  'GET /me/settings': { path: {}; query: {}; body: undefined; answer: Answer<Settings> };
  /** Change my settings. */
  'PATCH /me/settings': { path: {}; query: {}; body: SettingsPatch; answer: Answer<Settings> };
  /** Tells what I am doing. */
  'PUT /me/presence': { path: {}; query: {}; body: PresenceSet; answer: Answer<Presence> };
  /** How these people are, as far as they let me see it. */
  'GET /presence': { path: {}; query: { user_ids?: string | number }; body: undefined; answer: Page<Presence> };
  /** What I did, and what others did to me, newest first. */
  'GET /me/audit-log': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<AuditEntry> };
  /** Whom I blocked, newest first. */
  'GET /me/blocks': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<BlockPerson> };
  /** The posts that I like, the newest like first. */
  'GET /me/likes': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FeedPost> };
  /** People whose username or full name begins with `query`, by username. */
  'GET /users': { path: {}; query: { query?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<User> };
  /** What anyone signed in may see of a person, and how that person and I stand. */
  'GET /users/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<UserView> };
  /** Who follows somebody, newest first. */
  'GET /users/{id}/followers': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FollowPerson> };
  /** Whom somebody follows, newest first. */
  'GET /users/{id}/following': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FollowPerson> };
  /** The posts of one person, newest first. */
  'GET /users/{id}/posts': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FeedPost> };
  /** Follow somebody. */
  'PUT /users/{id}/follow': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Follow> };
  /** Follow somebody no longer. */
  'DELETE /users/{id}/follow': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<FollowRef> };
  /** Have nothing to do with somebody any more. */
  'PUT /users/{id}/block': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Block> };
  /** Let somebody find me again. */
  'DELETE /users/{id}/block': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<BlockRef> };
  /** Everything that my home page shows, in one snapshot. */
  'GET /dashboard': { path: {}; query: {}; body: undefined; answer: Dashboard };
  /** The posts of the people whom I follow, and mine, newest first. */
  'GET /feed': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FeedPost> };
  /** Everybody's posts, newest first. */
  'GET /posts': { path: {}; query: { tag?: string | number; subject?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<FeedPost> };
  /** Post something. */
  'POST /posts': { path: {}; query: {}; body: NewPost; answer: Answer<Post> };
  /** A post. */
  'GET /posts/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<FeedPost> };
  /** Edit a post of mine. */
  'PATCH /posts/{id}': { path: { id: Uuid }; query: {}; body: Omit<PostPatch, 'id'>; answer: Answer<Post> };
  /** Delete a post of mine, with its comments and likes. */
  'DELETE /posts/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Like a post. */
  'PUT /posts/{id}/like': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<PostLikes> };
  /** Like a post no longer. */
  'DELETE /posts/{id}/like': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<PostLikes> };
  /** Who likes a post, newest first. */
  'GET /posts/{id}/likes': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<Liker> };
  /** What people say about a post, oldest first. */
  'GET /posts/{id}/comments': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<CommentPerson> };
  /** Say something about a post. */
  'POST /posts/{id}/comments': { path: { id: Uuid }; query: {}; body: Omit<NewComment, 'post_id'>; answer: Answer<CommentChanged> };
  /** Edit a comment of mine. */
  'PATCH /comments/{id}': { path: { id: Uuid }; query: {}; body: Omit<CommentPatch, 'id'>; answer: Answer<CommentChanged> };
  /** Delete a comment: my own, or one on a post of mine. */
  'DELETE /comments/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<CommentDeleted> };
  /** The courses that I am in, the longest there first. */
  'GET /courses': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<Course> };
  /** Make a course; I own it. */
  'POST /courses': { path: {}; query: {}; body: NewCourse; answer: Answer<Course> };
  /** A course that I am in. */
  'GET /courses/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Course> };
  /** Rename a course; the owner only. */
  'PATCH /courses/{id}': { path: { id: Uuid }; query: {}; body: Omit<CoursePatch, 'id'>; answer: Answer<Course> };
  /** Delete a course; the owner only. Assignments stay, without it. */
  'DELETE /courses/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Let somebody into a course; the owner only. */
  'PUT /courses/{id}/members/{user_id}': { path: { id: Uuid; user_id: Uuid }; query: {}; body: undefined; answer: Answer<Course> };
  /** Put somebody out of a course (the owner), or leave it. */
  'DELETE /courses/{id}/members/{user_id}': { path: { id: Uuid; user_id: Uuid }; query: {}; body: undefined; answer: Answer<CourseMemberGone> };
  /** What is due, the next first; what is due on no day comes last. */
  'GET /assignments': { path: {}; query: { timeframe?: string | number; course_id?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<Assignment> };
  /** Add something that is due. */
  'POST /assignments': { path: {}; query: {}; body: NewAssignment; answer: Answer<Assignment> };
  /** Something that is due. */
  'GET /assignments/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Assignment> };
  /** Change something that is due. */
  'PATCH /assignments/{id}': { path: { id: Uuid }; query: {}; body: Omit<AssignmentPatch, 'id'>; answer: Answer<Assignment> };
  /** Delete something that is due. */
  'DELETE /assignments/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** The buttons of my quick launch, in their order. */
  'GET /resources': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<StudyResource> };
  /** Add a button to the quick launch. */
  'POST /resources': { path: {}; query: {}; body: NewStudyResource; answer: Answer<StudyResource> };
  /** Change a button. */
  'PATCH /resources/{id}': { path: { id: Uuid }; query: {}; body: Omit<StudyResourcePatch, 'id'>; answer: Answer<StudyResource> };
  /** Delete a button. */
  'DELETE /resources/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Put a button elsewhere. */
  'POST /resources/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<RowMove, 'id'>; answer: Answer<MovedStudyResource> };
  /** My focus areas, in their order. */
  'GET /focus-entries': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FocusEntry> };
  /** Add a focus area. */
  'POST /focus-entries': { path: {}; query: {}; body: NewFocusEntry; answer: Answer<FocusEntry> };
  /** Change a focus area. */
  'PATCH /focus-entries/{id}': { path: { id: Uuid }; query: {}; body: Omit<FocusEntryPatch, 'id'>; answer: Answer<FocusEntry> };
  /** Delete a focus area. */
  'DELETE /focus-entries/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Put a focus area elsewhere. */
  'POST /focus-entries/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<RowMove, 'id'>; answer: Answer<MovedFocusEntry> };
  /** My playlists, in their order. */
  'GET /playlists': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<StudyPlaylist> };
  /** Add a playlist. */
  'POST /playlists': { path: {}; query: {}; body: NewStudyPlaylist; answer: Answer<StudyPlaylist> };
  /** Change a playlist. */
  'PATCH /playlists/{id}': { path: { id: Uuid }; query: {}; body: Omit<StudyPlaylistPatch, 'id'>; answer: Answer<StudyPlaylist> };
  /** Delete a playlist. */
  'DELETE /playlists/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Put a playlist elsewhere. */
  'POST /playlists/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<RowMove, 'id'>; answer: Answer<MovedStudyPlaylist> };
  /** How far I have come, the newest day first. */
  'GET /progress-metrics': { path: {}; query: { scope?: string | number; from?: string | number; to?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<ProgressMetric> };
  /** Say how far I have come on a day. */
  'PUT /progress-metrics': { path: {}; query: {}; body: MetricRecord; answer: Answer<ProgressMetric> };
  /** Delete what I said of a day. */
  'DELETE /progress-metrics/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<MetricGone> };
  /** Show a tag on my profile. */
  'PUT /me/tags/{tag}': { path: { tag: Uuid }; query: {}; body: undefined; answer: Answer<Me> };
  /** Show it no longer. */
  'DELETE /me/tags/{tag}': { path: { tag: Uuid }; query: {}; body: undefined; answer: Answer<Me> };
  /** What a tag leads to: the first people and posts that have it. */
  'GET /tags/{tag}': { path: { tag: Uuid }; query: {}; body: undefined; answer: TagView };
  /** The people who have a tag, newest first. */
  'GET /tags/{tag}/people': { path: { tag: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<TaggedPerson> };
  /** The posts that carry a tag, newest first. */
  'GET /tags/{tag}/posts': { path: { tag: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<FeedPost> };
  /** My lists, oldest first. */
  'GET /task-lists': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<TaskList> };
  /** Make a list. */
  'POST /task-lists': { path: {}; query: {}; body: NewTaskList; answer: Answer<TaskList> };
  /** Rename or describe a list. */
  'PATCH /task-lists/{id}': { path: { id: Uuid }; query: {}; body: Omit<TaskListPatch, 'id'>; answer: Answer<TaskList> };
  /** Delete a list with its tasks. */
  'DELETE /task-lists/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** The tasks of a list in their order. */
  'GET /task-lists/{id}/tasks': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<Task> };
  /** Add a task to a list. */
  'POST /task-lists/{id}/tasks': { path: { id: Uuid }; query: {}; body: Omit<NewTask, 'list_id'>; answer: Answer<Task> };
  /** Change or tick a task. */
  'PATCH /tasks/{id}': { path: { id: Uuid }; query: {}; body: Omit<TaskPatch, 'id'>; answer: Answer<Task> };
  /** Delete a task. */
  'DELETE /tasks/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Put a task elsewhere. */
  'POST /tasks/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<TaskMove, 'id'>; answer: Answer<TaskMoved> };
  /** What is in my calendar, by day and in the order of each day. */
  'GET /calendar-events': { path: {}; query: { from?: string | number; to?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<CalendarEvent> };
  /** Put something into the calendar, at the end of its day. */
  'POST /calendar-events': { path: {}; query: {}; body: NewCalendarEvent; answer: Answer<CalendarEvent> };
  /** One event of my calendar. */
  'GET /calendar-events/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<CalendarEvent> };
  /** Change something in the calendar. */
  'PATCH /calendar-events/{id}': { path: { id: Uuid }; query: {}; body: Omit<CalendarEventPatch, 'id'>; answer: Answer<CalendarEvent> };
  /** Take it out of the calendar, with its reminders. */
  'DELETE /calendar-events/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Put it elsewhere in its day, or into another day. */
  'POST /calendar-events/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<CalendarEventMove, 'id'>; answer: Answer<MovedCalendarEvent> };
  /** The reminders of an event, past ones too, by their time. */
  'GET /calendar-events/{id}/reminders': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<Reminder> };
  /** Be reminded of something in the calendar. */
  'POST /calendar-events/{id}/reminders': { path: { id: Uuid }; query: {}; body: Omit<NewReminder, 'event_id'>; answer: Answer<Reminder> };
  /** Be reminded no more. */
  'DELETE /reminders/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** What I am told of, newest first. */
  'GET /notifications': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<Notification> };
  /** How many notifications I have not read. */
  'GET /notifications/unread-count': { path: {}; query: {}; body: undefined; answer: Answer<UnreadCount> };
  /** I have read all notifications, or those that were there at a time. */
  'POST /notifications/read': { path: {}; query: {}; body: ReadNotifications; answer: Answer<NotificationsRead> };
  /** I have read this notification. */
  'PUT /notifications/{id}/read': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<NotificationsRead> };
  /** The rooms that I am in, oldest first. */
  'GET /workspaces': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<MyWorkspace> };
  /** Make a room; I own it. */
  'POST /workspaces': { path: {}; query: {}; body: NewWorkspace; answer: Answer<Workspace> };
  /** A whole room. Guests may ask too. */
  'GET /workspaces/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Room };
  /** Change a room's name, background or settings. */
  'PATCH /workspaces/{id}': { path: { id: Uuid }; query: {}; body: Omit<WorkspacePatch, 'id'>; answer: Answer<Workspace> };
  /** Delete a room; the owner only. */
  'DELETE /workspaces/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Who is in a room, the longest there first. */
  'GET /workspaces/{id}/members': { path: { id: Uuid }; query: { limit?: number; cursor?: string }; body: undefined; answer: Page<MemberPerson> };
  /** Let somebody in; the owner only. */
  'PUT /workspaces/{id}/members/{user_id}': { path: { id: Uuid; user_id: Uuid }; query: {}; body: undefined; answer: Answer<Member> };
  /** Put somebody out (the owner), or leave. */
  'DELETE /workspaces/{id}/members/{user_id}': { path: { id: Uuid; user_id: Uuid }; query: {}; body: undefined; answer: Answer<MemberGone> };
  /** Add a widget to a room. */
  'POST /workspaces/{id}/widgets': { path: { id: Uuid }; query: {}; body: Omit<NewWidget, 'workspace_id'>; answer: Answer<Widget> };
  /** Change a widget's title or settings. */
  'PATCH /widgets/{id}': { path: { id: Uuid }; query: {}; body: Omit<WidgetPatch, 'id'>; answer: Answer<Widget> };
  /** Take a widget away. */
  'DELETE /widgets/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** Drop a widget in a new place. */
  'POST /widgets/{id}/move': { path: { id: Uuid }; query: {}; body: Omit<WidgetMove, 'id'>; answer: Answer<WidgetMoved> };
  /** My files, newest first, and how much room they take. */
  'GET /attachments': { path: {}; query: { limit?: number; cursor?: string }; body: undefined; answer: AttachmentPage };
  /** Takes a file, which is the body as it is. What it is, the server finds out by itself. */
  'POST /attachments': { path: {}; query: { file_name?: string | number }; body: Blob; answer: Answer<Attachment> };
  /** What is known of a file. */
  'GET /attachments/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Attachment> };
  /** What is in a file, all of it or a range. */
  'GET /attachments/{id}/content': { path: { id: Uuid }; query: {}; body: undefined; answer: Blob };
  /** Say what a file of mine belongs to, or that it belongs to nothing. */
  'POST /attachments/{id}/link': { path: { id: Uuid }; query: {}; body: Omit<AttachmentLink, 'id'>; answer: Answer<Attachment> };
  /** Delete a file of mine. */
  'DELETE /attachments/{id}': { path: { id: Uuid }; query: {}; body: undefined; answer: Answer<Deleted> };
  /** The log of a channel, oldest first. `positions` has where the page ends: the next `since`. */
  'GET /channels/{channel}/events': { path: { channel: Channel }; query: { since?: string | number; epoch?: string | number; limit?: number; cursor?: string }; body: undefined; answer: Page<LoggedEvent> };
  /** This description of REST. */
  'GET /openapi.json': { path: {}; query: {}; body: undefined; answer: Record<string, unknown> };
  /** The description of the live side. */
  'GET /asyncapi.json': { path: {}; query: {}; body: undefined; answer: Record<string, unknown> };
}

/** What an error begins with: what happened, and what to do. */
export interface ErrorCodes {
  /** The body is not JSON; `detail` says where. A lone surrogate or a number beyond 1e308 counts as that. Repair the program. */
  malformed_json: { status: 400; rpc: 1400 };
  /** Another shape: not an object, an unknown, missing or mistyped field, an id in the path that is none. Repair the program. */
  bad_request: { status: 400; rpc: 1400 | 107 };
  /** `limit` is not a whole number. */
  bad_limit: { status: 400; rpc: never };
  /** `cursor` is not the `next_cursor` of this list. Begin with the first page. */
  bad_cursor: { status: 400; rpc: never };
  /** The Idempotency-Key or `op` is not one UUID. */
  bad_op: { status: 400; rpc: 1400 };
  /** No sign-in, or one that was ended. Sign in. */
  unauthorized: { status: 401; rpc: 101 };
  /** The sign-in is over by time. Sign in. */
  token_expired: { status: 401; rpc: 109 };
  /** The name or the password is wrong. */
  wrong_credentials: { status: 401; rpc: never };
  /** This page may not use the cookie. List its origin in `STUDYHALL_ORIGINS`, or send a token. */
  foreign_origin: { status: 403; rpc: never };
  /** An operator has disabled this account. */
  account_disabled: { status: 403; rpc: never };
  /** The current password is wrong. */
  wrong_password: { status: 403; rpc: never };
  /** Somebody else's channel, or not subscribed. */
  permission_denied: { status: 403; rpc: 103 };
  /** Only the owner of the room or course may do that. */
  owner_only: { status: 403; rpc: 1403 };
  /** Only whoever posted or said it may do that. */
  author_only: { status: 403; rpc: 1403 };
  /** Only members may do that. */
  guests_look_on: { status: 403; rpc: 1403 };
  /** No such thing, or none that you may know of. */
  not_found: { status: 404; rpc: 1404 };
  /** There is no command of this name. */
  method_not_found: { status: never; rpc: 104 };
  /** No such channel, or none that you may know of. */
  unknown_channel: { status: never; rpc: 102 };
  /** See the `Allow` header. */
  method_not_allowed: { status: 405; rpc: never };
  /** Choose another name. */
  username_taken: { status: 409; rpc: never };
  /** The address belongs to another account. */
  email_taken: { status: 409; rpc: 1409 };
  /** They are in the room already. */
  already_member: { status: 409; rpc: 1409 };
  /** The owner cannot leave the room or course; delete it instead. */
  owner_stays: { status: 409; rpc: 1409 };
  /** As many as there may be. Delete some. */
  limit_reached: { status: 409; rpc: 1409 };
  /** The file does not fit into the room that you have. Delete some, or take a smaller one. */
  quota_exceeded: { status: 409; rpc: never };
  /** The row to stand behind is not in that list any more. Load the list again. */
  after_not_in_list: { status: 409; rpc: 1409 };
  /** Somebody else is dragging this widget. Let go of it. */
  widget_held: { status: never; rpc: 1409 };
  /** The log cannot be read from there. Load the state again. */
  unrecoverable_position: { status: 410; rpc: 112 };
  /** A body has at most 256 KiB, a file as much as the operator allows. */
  payload_too_large: { status: 413; rpc: never };
  /** Send `content-type: application/json`, and a file as it is, not in a form. */
  unsupported_media_type: { status: 415; rpc: never };
  /** The file is shorter than where the asked range begins; `Content-Range` says how long. */
  range_not_satisfiable: { status: 416; rpc: never };
  /** A value cannot be taken; `field` and `detail` say which and why. */
  invalid_field: { status: 422; rpc: 1422 };
  /** What is in the file is none of the kinds that are taken, or not whole; `detail` says more. */
  unsupported_file: { status: 422; rpc: never };
  /** This key belongs to another call. Use a new one. */
  op_reused: { status: 422; rpc: 1422 };
  /** Too fast. Temporary: wait for `Retry-After`. */
  too_many_requests: { status: 429; rpc: 111 };
  /** Too many wrong passwords for this name. Temporary: wait for `Retry-After`. */
  too_many_attempts: { status: 429; rpc: never };
  /** This connection has that subscription. */
  already_subscribed: { status: never; rpc: 105 };
  /** Too many channels on a connection, or too many values in a room. */
  limit_exceeded: { status: never; rpc: 106 };
  /** The protocol has it, this server does not. */
  not_available: { status: never; rpc: 108 };
  /** Our fault. Temporary; tell the operator the `x-request-id`. */
  internal: { status: 500; rpc: 100 };
  /** Too much to do right now. Temporary. */
  busy: { status: 503; rpc: 1503 };
  /** This node goes away. Temporary: try again, another one answers. */
  shutting_down: { status: 503; rpc: 1503 };
  /** The database went away at the very end: done or not. Temporary: send it again with the same key. */
  commit_unknown: { status: 503; rpc: 1503 };
  /** The database cannot be reached. Temporary. */
  unavailable: { status: 503; rpc: 1503 };
}

/** Why a connection was closed, by its close code. */
export interface CloseCodes {
  1000: 'bye';
  1003: 'JSON goes in text frames, protobuf in binary ones';
  1009: 'message too big';
  3001: 'shutdown';
  3004: 'internal error';
  3005: 'connection expired';
  3009: 'write error';
  3010: 'insufficient state';
  3012: 'no pong';
  3013: 'too many requests';
  3501: 'bad request';
  4000: 'no connect command';
  4501: 'signed out';
  4502: 'password changed';
  4503: 'account disabled';
  4504: 'account erased';
}

/** Why a subscription ended without being asked to. */
export interface UnsubscribeCodes {
  2101: 'removed from the room';
  2102: 'room deleted';
  2103: 'blocked';
  2104: 'account erased';
}

/** The answer to a command, the same by REST and by `rpc`. */
export interface Answer<T> {
  /** Where the command's events are; a retry gets the same. */
  positions: Position[];
  /** What the command made or changed. */
  data: T;
}

/** A page of a list. */
export interface Page<T> {
  /** The rows. */
  items: T[];
  /** For the next page; `null` on the last. */
  next_cursor: string | null;
  /** The channels whose state this page shows. */
  positions?: Position[];
}

/** Something that has to be handed in. */
export interface Assignment {
  /** Never changes. */
  id: Uuid;
  /** Whose. */
  user_id: Uuid;
  /** One of my courses; `null` without one, and once it is gone or I have left it. */
  course_id: Uuid | null;
  /** At most 160 characters. */
  title: string;
  /** Such as "In progress", at most 40 characters. */
  status: string;
  /** The day. */
  due_at: Day | null;
  /** Follows `due_at`, also as days pass. */
  timeframe: Timeframe;
  /** Long-form. */
  notes: string | null;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `assignment.update`: absent keeps, `null` clears. */
export interface AssignmentPatch {
  /** Which assignment. */
  id: Uuid;
  /** One of my courses. */
  course_id?: Uuid | null;
  /** The day. */
  due_at?: Day | null;
  /** Long-form. */
  notes?: string | null;
  /** At most 40 characters. */
  status?: string;
  /** At most 160 characters. */
  title?: string;
}

/** A file. What is in it is at `GET /attachments/{id}/content`. */
export interface Attachment {
  /** Never changes, and neither does what is in the file. */
  id: Uuid;
  /** Who uploaded it. */
  user_id: Uuid;
  /** `image`, `video`, `audio` or `document`. */
  kind: string;
  /** For people; at most 255 characters, no path. */
  file_name: string;
  /** What the server found it to be, whatever the browser said. */
  content_type: string;
  /** Bytes. */
  size_bytes: number;
  /** Pixels, of images. */
  width: number | null;
  /** Pixels, of images. */
  height: number | null;
  /** SHA-256 of the bytes, in hexadecimal digits. */
  sha256: string;
  /** The post that it belongs to: whoever may see the author may see it. */
  post_id: Uuid | null;
  /** The entry of my calendar that it belongs to: only I see it. */
  calendar_event_id: Uuid | null;
  /** The room that it belongs to: whoever may see the room may see it. */
  workspace_id: Uuid | null;
  /** The person whose profile it belongs to: whoever may see them may see it. */
  profile_user_id: Uuid | null;
  /** Set by the database. */
  created_at: Timestamp;
}

/** `attachment.link`: says what my file belongs to, and with that who may see it. Without a parent it belongs to nothing: only I see it, and it is gone after a day. */
export interface AttachmentLink {
  /** Which file. */
  id: Uuid;
  /** What kind of thing it belongs to. */
  parent?: ParentKind | null;
  /** Which one; absent for the profile, for I have only one. */
  parent_id?: Uuid | null;
}

/** `GET /attachments`: a page of my files, and how much room they take. */
export interface AttachmentPage {
  /** The newest first. */
  items: Attachment[];
  /** For the next page; `null` on the last. */
  next_cursor: string | null;
  /** Of `user:<me>`. */
  positions: Position[];
  /** Bytes of all my files. */
  used_bytes: number;
  /** Bytes that they may have. */
  quota_bytes: number;
}

/** A line of the record: that something was done, never what was written. */
export interface AuditEntry {
  /** Grows with time. */
  id: number;
  /** When. */
  created_at: Timestamp;
  /** The command, such as `task.create`; or `account.create`, `session.create`, `session.end`, `password.change`. */
  action: string;
  /** Who did it; `null` when it was an operator, or somebody who is gone. */
  actor_id: Uuid | null;
  /** What it was done to: `user`, or the first word of the command. */
  subject_type: string | null;
  /** Which one; absent where it is the actor's own account. */
  subject_id: Uuid | null;
  /** What else was named, by id. */
  metadata: Record<string, unknown>;
  /** From where; only of what I did myself. */
  ip: string | null;
}

/** What is behind the widgets. */
export type BackgroundType = 'image' | 'video' | 'color';

/** One person blocks another: neither finds, sees, follows or subscribes to the other any more. */
export interface Block {
  /** Who blocks. */
  blocker_id: Uuid;
  /** Whom. */
  blocked_id: Uuid;
  /** Since when. */
  created_at: Timestamp;
}

/** A row of `GET /me/blocks`. */
export interface BlockPerson {
  /** Who blocks. */
  blocker_id: Uuid;
  /** Whom. */
  blocked_id: Uuid;
  /** Since when. */
  created_at: Timestamp;
  /** Whom: the one place where I find them. */
  user: Person;
}

/** A block that is over. */
export interface BlockRef {
  /** Who blocked. */
  blocker_id: Uuid;
  /** Whom. */
  blocked_id: Uuid;
}

/** Something that stands in a cell of the calendar. */
export interface CalendarEvent {
  /** Never changes. */
  id: Uuid;
  /** The owner. */
  user_id: Uuid;
  /** The cell: a day as its owner sees it. */
  event_date: Day;
  /** At most 160 characters. */
  title: string | null;
  /** Long-form. Never empty together with `title`. */
  notes: string | null;
  /** When it begins. */
  starts_at: Timestamp | null;
  /** When it ends: not before it begins, and never without a begin. */
  ends_at: Timestamp | null;
  /** How it was made. */
  source: CalendarSource;
  /** Days are ordered by this, then by `created_at` and `id`. */
  order_index: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `calendar_event.move`: to another place in its day, or into another day. */
export interface CalendarEventMove {
  /** Which event of mine. */
  id: Uuid;
  /** The event of that day to stand behind; absent or `null`: first. */
  after_id?: Uuid | null;
  /** The day to go to; absent: the one that it is on. */
  event_date?: Day | null;
}

/** `calendar_event.update`: absent keeps, `null` clears. Another `event_date` puts it at the end of that day. */
export interface CalendarEventPatch {
  /** Which event of mine. */
  id: Uuid;
  /** When it ends; needs a begin and must not lie before it. */
  ends_at?: Timestamp | null;
  /** Between the years 1 and 9999. */
  event_date?: Day;
  /** Long-form. */
  notes?: string | null;
  /** When it begins. */
  starts_at?: Timestamp | null;
  /** At most 160 characters; it or `notes` says something. */
  title?: string | null;
}

/** How an event of the calendar was made. */
export type CalendarSource = 'quick' | 'modal' | 'import';

/** On `profile:<author of the post>`: a comment is new or was edited. */
export interface CommentChanged {
  /** Never changes. */
  id: Uuid;
  /** The post. */
  post_id: Uuid;
  /** Who said it. */
  author_id: Uuid;
  /** Long-form text. */
  body: string;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
  /** How many comments the post has now. */
  comment_count: number;
}

/** On `profile:<author of the post>`: a comment is gone. */
export interface CommentDeleted {
  /** The comment. */
  id: Uuid;
  /** The post. */
  post_id: Uuid;
  /** How many comments the post has now. */
  comment_count: number;
}

/** `comment.update` */
export interface CommentPatch {
  /** Which of my comments. */
  id: Uuid;
  /** Long-form text. */
  body: string;
}

/** A comment in a list. */
export interface CommentPerson {
  /** Never changes. */
  id: Uuid;
  /** The post. */
  post_id: Uuid;
  /** Who said it. */
  author_id: Uuid;
  /** Long-form text. */
  body: string;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
  /** Who said it; changes of it are told on `profile:<id>`. */
  author: Person;
}

/** What the application sees of a connect: `data` of the connect reply. */
export interface Connected {
  /** Who was recognised. */
  user_id: Uuid;
  /** Milliseconds since 1970, UTC. */
  server_time: number;
}

/** A course. Every member sees the same. */
export interface Course {
  /** Never changes. */
  id: Uuid;
  /** The owner. */
  user_id: Uuid;
  /** At most 120 characters. */
  name: string;
  /** At most 8 characters. */
  emoji: string | null;
  /** Who is in it, the owner too, the longest there first. */
  member_ids: Uuid[];
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** Somebody who is in a course no longer. */
export interface CourseMemberGone {
  /** Which course. */
  course_id: Uuid;
  /** Who. */
  user_id: Uuid;
}

/** `course_member.add`, `course_member.remove`: whom, and of which course. */
export interface CourseMemberRef {
  /** Which course. */
  course_id: Uuid;
  /** Who. */
  user_id: Uuid;
}

/** `course.update`: absent keeps, `null` clears. */
export interface CoursePatch {
  /** Which course. */
  id: Uuid;
  /** At most 8 characters. */
  emoji?: string | null;
  /** At most 120 characters. */
  name?: string;
}

/** `POST /sessions` */
export interface Credentials {
  /** Any case. */
  username: string;
  /** As it was set. */
  password: string;
}

/** The home page. `UserState` is made from it; every later event of `user:<me>` moves that on. */
export interface Dashboard {
  /** The account. */
  me: Me;
  /** My settings. */
  settings: Settings;
  /** Whom I follow: their `profile:` channels are my feed. */
  following: Uuid[];
  /** Whom I blocked. */
  blocked: Uuid[];
  /** My lists, oldest first. */
  task_lists: TaskList[];
  /** My tasks, in the order of their lists. */
  tasks: Task[];
  /** My place in each of my rooms, oldest first. */
  memberships: Member[];
  /** The same rooms in the same order; what is in them comes from `GET /workspaces/{id}`. */
  workspaces: Workspace[];
  /** My courses, the longest there first. */
  courses: Course[];
  /** What is due, the next first; what is due on no day comes last. */
  assignments: Assignment[];
  /** The buttons of the quick launch, in their order. */
  resources: StudyResource[];
  /** My focus areas, in their order. */
  focus_entries: FocusEntry[];
  /** My playlists, in their order. */
  playlists: StudyPlaylist[];
  /** How far I have come: the newest of each scope. */
  progress_metrics: ProgressMetric[];
  /** The first day of `calendar_events`: 31 days before today in my time zone. */
  calendar_from: Day;
  /** The last day of `calendar_events`: 62 days after today. */
  calendar_to: Day;
  /** What is in my calendar on these days, in their order. */
  calendar_events: CalendarEvent[];
  /** Reminders that are still to come, of events on any day, the next one first. */
  reminders: Reminder[];
  /** All my notifications, newest first; a hundred at most. */
  notifications: Notification[];
  /** How many of them are unread. */
  unread_count: number;
  /** Of `user:<me>`, `profile:<me>`, and each room. */
  positions: Position[];
}

/** The id of what was deleted. */
export interface Deleted {
  /** The row that is gone. */
  id: Uuid;
}

/** What lies behind one person in a room. */
export interface Devices {
  /** Connections of that person in this channel. */
  devices: number;
}

/** A widget on its way, in a `drag` slot. Grid units; fractions are allowed while it moves. */
export interface Drag {
  /** One gesture, from pointer down to pointer up; made by the client. */
  drag_id: Uuid;
  /** Column. */
  grid_x: number;
  /** Row. */
  grid_y: number;
  /** Height, when the gesture resizes. */
  grid_h?: number | null;
  /** Width, when the gesture resizes. */
  grid_w?: number | null;
}

/** An event that told of somebody who was erased since: its number stays, what it said does not. */
export type Emptied = Record<string, unknown>;

/** Why a sign-in ended. */
export type EndReason = 'signed_out' | 'password_changed' | 'disabled' | 'erased';

/** `POST /me/erasure` */
export interface Erasure {
  /** The one in force. */
  password: string;
}

/** A post in a list, as one person sees it. */
export interface FeedPost {
  /** Never changes. */
  id: Uuid;
  /** The author. */
  user_id: Uuid;
  /** Long-form text. */
  content: string;
  /** A book or other resource. */
  book_title: string | null;
  /** Such as "45m". */
  study_duration: string | null;
  /** What was studied. */
  subject: string | null;
  /** The one large image. */
  image_url: string | null;
  /** How many people like it. */
  like_count: number;
  /** How many comments it has. */
  comment_count: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database; likes and comments do not move it. */
  updated_at: Timestamp;
  /** Without `#`, in alphabetical order. */
  tags: string[];
  /** In their order. */
  media: PostMedia[];
  /** Whether I like it; later changes are told on `user:<me>`. */
  liked_by_me: boolean;
  /** Who posted it; changes of it are told on `profile:<id>`. */
  author: Person;
}

/** A focus area, such as "Deep Work". */
export interface FocusEntry {
  /** Never changes. */
  id: Uuid;
  /** Whose. */
  user_id: Uuid;
  /** At most 120 characters. */
  title: string;
  /** Long-form. */
  description: string | null;
  /** The list is ordered by this, then by `created_at` and `id`. */
  order_index: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `focus_entry.update`: absent keeps, `null` clears. */
export interface FocusEntryPatch {
  /** Which area. */
  id: Uuid;
  /** Long-form. */
  description?: string | null;
  /** At most 120 characters. */
  title?: string;
}

/** One person follows another. */
export interface Follow {
  /** Who follows. */
  follower_id: Uuid;
  /** Whom. */
  followee_id: Uuid;
  /** Since when. */
  created_at: Timestamp;
}

/** A row of `GET /users/{id}/followers` and `/following`: the follow, and the one of the two who is asked for. */
export interface FollowPerson {
  /** Who follows. */
  follower_id: Uuid;
  /** Whom. */
  followee_id: Uuid;
  /** Since when. */
  created_at: Timestamp;
  /** Among followers who follows, among those followed whom. */
  user: Person;
}

/** A follow that is over. */
export interface FollowRef {
  /** Who followed. */
  follower_id: Uuid;
  /** Whom. */
  followee_id: Uuid;
}

/** How many people like a post. */
export interface LikeCount {
  /** The post. */
  post_id: Uuid;
  /** How many people. */
  like_count: number;
}

/** Somebody who likes a post, in the list of them. */
export interface Liker {
  /** Who. */
  user: Person;
  /** Since when. */
  created_at: Timestamp;
}

/** On `profile:<author>`: how many people like these posts now. One event may sum up many likes. */
export interface LikesChanged {
  /** Each post once. */
  posts: LikeCount[];
}

/** A person as they see themselves. */
export interface Me {
  /** Never changes. */
  id: Uuid;
  /** Unique without regard to case. */
  username: string;
  /** Such as "Aiko Tanaka". */
  full_name: string | null;
  /** The "About" text. */
  bio: string | null;
  /** City or region. */
  location: string | null;
  /** Avatar. */
  profile_image_url: string | null;
  /** Profile header. */
  banner_image_url: string | null;
  /** The day they came. */
  joined_at: Day;
  /** Cached aggregate. */
  followers_count: number;
  /** Cached aggregate. */
  following_count: number;
  /** Cached aggregate. */
  posts_count: number;
  /** Interests, without `#`, in alphabetical order. */
  tags: string[];
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
  /** Private. */
  email: string | null;
}

/** Somebody's place in a room. */
export interface Member {
  /** The room. */
  workspace_id: Uuid;
  /** The person. */
  user_id: Uuid;
  /** What they may do. */
  role: Role;
  /** Since when. */
  created_at: Timestamp;
}

/** Somebody is a member no longer. */
export interface MemberGone {
  /** The room. */
  workspace_id: Uuid;
  /** The person. */
  user_id: Uuid;
}

/** A member, in the list of a room's members. */
export interface MemberPerson {
  /** The room. */
  workspace_id: Uuid;
  /** The person. */
  user_id: Uuid;
  /** What they may do. */
  role: Role;
  /** Since when. */
  created_at: Timestamp;
  /** Who they are; changes of it are told on `profile:<id>`. */
  user: Person;
}

/** `member.add`, `member.remove` */
export interface MemberRef {
  /** The room. */
  workspace_id: Uuid;
  /** The person. */
  user_id: Uuid;
}

/** A metric that is gone, and what is the newest of its scope now. */
export interface MetricGone {
  /** The row that is gone. */
  id: Uuid;
  /** Its scope. */
  scope: string;
  /** The newest one that is left; `null` when that was the last. */
  latest: ProgressMetric | null;
}

/** `progress_metric.record`: the one of that scope and day is made or replaced. */
export interface MetricRecord {
  /** At most 16 characters. */
  scope: string;
  /** 0 to 1,000,000. */
  value: number;
  /** The day; absent: today, where I am. */
  captured_at?: Day | null;
  /** 1 to 1,000,000; absent keeps what that day has, 100 if it is new; `null`: nothing to reach. */
  target_value?: number | null;
}

/** What a move changed: the row, and neighbours whose index had to give way. */
export interface MovedCalendarEvent {
  /** The row in its new place. */
  moved: CalendarEvent;
  /** Other rows of the list that got a new index; usually none. */
  reordered: RowOrder[];
}

/** What a move changed: the row, and neighbours whose index had to give way. */
export interface MovedFocusEntry {
  /** The row in its new place. */
  moved: FocusEntry;
  /** Other rows of the list that got a new index; usually none. */
  reordered: RowOrder[];
}

/** What a move changed: the row, and neighbours whose index had to give way. */
export interface MovedStudyPlaylist {
  /** The row in its new place. */
  moved: StudyPlaylist;
  /** Other rows of the list that got a new index; usually none. */
  reordered: RowOrder[];
}

/** What a move changed: the row, and neighbours whose index had to give way. */
export interface MovedStudyResource {
  /** The row in its new place. */
  moved: StudyResource;
  /** Other rows of the list that got a new index; usually none. */
  reordered: RowOrder[];
}

/** A room of mine, in the list of my rooms. */
export interface MyWorkspace {
  /** Never changes. */
  id: Uuid;
  /** The owner. */
  user_id: Uuid;
  /** At most 80 characters. */
  name: string;
  /** `image`, `video` or `color`. */
  background_type: BackgroundType;
  /** Address or asset key. */
  background_value: string | null;
  /** `#rrggbb` or `#rrggbbaa`. */
  background_color: string | null;
  /** Free; `{"guests": true}` lets anyone signed in look on. */
  settings: Record<string, unknown>;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
  /** What I may do in it. */
  role: Role;
}

/** `POST /accounts` */
export interface NewAccount {
  /** 3 to 50 letters, digits, `_`, `.` or `-`. */
  username: string;
  /** 8 to 1,024 bytes; taken as it is. */
  password: string;
  /** Optional, unique without regard to case. */
  email?: string | null;
  /** Optional. */
  full_name?: string | null;
}

/** `assignment.create` */
export interface NewAssignment {
  /** At most 160 characters. */
  title: string;
  /** One of my courses. */
  course_id?: Uuid | null;
  /** The day. */
  due_at?: Day | null;
  /** Long-form. */
  notes?: string | null;
  /** At most 40 characters; "Not started" by default. */
  status?: string | null;
}

/** `calendar_event.create`: it goes to the end of its day. Quick add needs no more than a date, a title or notes, and `"source": "quick"`. */
export interface NewCalendarEvent {
  /** Between the years 1 and 9999. */
  event_date: Day;
  /** When it ends; needs `starts_at` and must not lie before it. */
  ends_at?: Timestamp | null;
  /** Long-form. */
  notes?: string | null;
  /** `quick` or `modal`; absent: `modal`. */
  source?: CalendarSource | null;
  /** When it begins. */
  starts_at?: Timestamp | null;
  /** At most 160 characters; it or `notes` says something. */
  title?: string | null;
}

/** `comment.create` */
export interface NewComment {
  /** The post. */
  post_id: Uuid;
  /** Long-form text. */
  body: string;
}

/** `course.create` */
export interface NewCourse {
  /** At most 120 characters. */
  name: string;
  /** At most 8 characters. */
  emoji?: string | null;
}

/** `focus_entry.create`: it goes to the end. */
export interface NewFocusEntry {
  /** At most 120 characters. */
  title: string;
  /** Long-form. */
  description?: string | null;
}

/** Something to show with a post. */
export interface NewMedia {
  /** At most 20 characters: `image`, `video`, or what a front-end adds. */
  media_type: string;
  /** An http(s) address. */
  url: string;
  /** Width, height, alternative text: free. */
  metadata?: Record<string, unknown> | null;
}

/** `post.create` */
export interface NewPost {
  /** Long-form text. */
  content: string;
  /** At most 160 characters. */
  book_title?: string | null;
  /** An http(s) address. */
  image_url?: string | null;
  /** At most 10. */
  media?: NewMedia[];
  /** At most 32 characters. */
  study_duration?: string | null;
  /** At most 80 characters. */
  subject?: string | null;
  /** At most 20; a leading `#` is dropped, case is kept and does not count. */
  tags?: string[];
}

/** `reminder.create` */
export interface NewReminder {
  /** An event of mine. */
  event_id: Uuid;
  /** When to remind; at most a day ago, which is at once. */
  remind_at: Timestamp;
}

/** `playlist.create`: it goes to the end. */
export interface NewStudyPlaylist {
  /** At most 160 characters. */
  title: string;
  /** `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`. */
  provider: string;
  /** The page of that provider which is made for frames. */
  embed_url: string;
}

/** `resource.create`: it goes to the end. */
export interface NewStudyResource {
  /** At most 120 characters. */
  label: string;
  /** At most 8 characters. */
  emoji?: string | null;
  /** An http(s) address. */
  url?: string | null;
}

/** `task.create`: the task goes to the end of its list. */
export interface NewTask {
  /** One of my lists. */
  list_id: Uuid;
  /** What is to be done. */
  description: string;
  /** When it is due. */
  due_at?: Timestamp | null;
}

/** `task_list.create` */
export interface NewTaskList {
  /** At most 50 characters. */
  name: string;
  /** Long-form. */
  description?: string | null;
}

/** `widget.create` */
export interface NewWidget {
  /** The room. */
  workspace_id: Uuid;
  /** At most 32 characters. */
  type: string;
  /** Column. */
  grid_x: number;
  /** Row. */
  grid_y: number;
  /** Width, at least 1. */
  grid_w: number;
  /** Height, at least 1. */
  grid_h: number;
  /** Free. */
  settings?: Record<string, unknown> | null;
  /** At most 120 characters. */
  title?: string | null;
  /** At most 120 characters. */
  title_key?: string | null;
}

/** `workspace.create` */
export interface NewWorkspace {
  /** At most 80 characters. */
  name: string;
  /** `#rrggbb` or `#rrggbbaa`. */
  background_color?: string | null;
  /** Absent: `color`. */
  background_type?: BackgroundType | null;
  /** Address or asset key. */
  background_value?: string | null;
  /** Free. */
  settings?: Record<string, unknown> | null;
}

/** Something that somebody is told of. A person keeps the newest hundred. */
export interface Notification {
  /** Never changes. */
  id: Uuid;
  /** Who is told. */
  user_id: Uuid;
  /** `like`, `comment`, `follow`, `invitation` (let into a room), `reminder`. */
  kind: string;
  /** Who did it, the latest of them; null of a reminder, and when they may not be named any more. */
  actor_id: Uuid | null;
  /** How many: likes and comments of one post are one notification until it is read. */
  count: number;
  /** Of likes and comments. */
  post_id: Uuid | null;
  /** The latest comment. */
  comment_id: Uuid | null;
  /** The room of an invitation. */
  workspace_id: Uuid | null;
  /** What a reminder reminds of. */
  calendar_event_id: Uuid | null;
  /** Null until it was read. */
  read_at: Timestamp | null;
  /** Set by the database: not after the first of those that are counted. */
  created_at: Timestamp;
  /** Set by the database: the latest of them. Reading does not change it. */
  updated_at: Timestamp;
}

/** `notification.deleted`: these are gone. */
export interface NotificationsGone {
  /** Their ids. */
  ids: Uuid[];
}

/** `notifications.read`, and the answer of both commands: these are read now. */
export interface NotificationsRead {
  /** Their ids; none that were read before. */
  ids: Uuid[];
  /** Since when; of none, now. */
  read_at: Timestamp;
  /** How many are unread still. */
  unread_count: number;
}

/** Somebody in a room: in `Present`, joins, leaves and `presence()`. */
export interface Occupant {
  /** Who. */
  user: Uuid;
  /** The same: presence is about people, not about connections. */
  client: Uuid;
  /** What rooms show of them. */
  conn_info: OccupantInfo;
  /** What lies behind them. */
  chan_info: Devices;
}

/** What rooms show of a person. */
export interface OccupantInfo {
  /** Unique without regard to case. */
  username: string;
  /** Such as "Aiko Tanaka". */
  full_name: string | null;
  /** Avatar. */
  profile_image_url: string | null;
}

/** On `user:<me>`: a like of mine, or its end. */
export interface OwnLike {
  /** The post. */
  post_id: Uuid;
  /** Whose post. */
  author_id: Uuid;
}

/** What a file can belong to. */
export type ParentKind = 'post' | 'calendar_event' | 'workspace' | 'profile';

/** `POST /me/password` */
export interface PasswordChange {
  /** The one in force. */
  current_password: string;
  /** The one from now on. */
  new_password: string;
}

/** Enough of a person to show them. */
export interface Person {
  /** Never changes. */
  id: Uuid;
  /** Unique without regard to case. */
  username: string;
  /** Such as "Aiko Tanaka". */
  full_name: string | null;
  /** Avatar. */
  profile_image_url: string | null;
}

/** A place in a channel's log. Everything up to and including `offset` is in the answer beside it. */
export interface Position {
  /** Which log. */
  channel: Channel;
  /** The number of the last event in it; 0 before the first. */
  offset: number;
  /** Which life of the log; it changes when a backup is restored. */
  epoch: string;
}

/** What somebody posted, the same for everybody. */
export interface Post {
  /** Never changes. */
  id: Uuid;
  /** The author. */
  user_id: Uuid;
  /** Long-form text. */
  content: string;
  /** A book or other resource. */
  book_title: string | null;
  /** Such as "45m". */
  study_duration: string | null;
  /** What was studied. */
  subject: string | null;
  /** The one large image. */
  image_url: string | null;
  /** How many people like it. */
  like_count: number;
  /** How many comments it has. */
  comment_count: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database; likes and comments do not move it. */
  updated_at: Timestamp;
  /** Without `#`, in alphabetical order. */
  tags: string[];
  /** In their order. */
  media: PostMedia[];
}

/** The answer to a like or its end. */
export interface PostLikes {
  /** The post. */
  post_id: Uuid;
  /** How many people like it now. */
  like_count: number;
  /** Whether I do. */
  liked_by_me: boolean;
}

/** Something shown with a post. */
export interface PostMedia {
  /** Never changes. */
  id: Uuid;
  /** `image`, `video`, or what a front-end adds. */
  media_type: string;
  /** An http(s) address. */
  url: string;
  /** Width, height, alternative text: free. */
  metadata: Record<string, unknown>;
}

/** `post.update`: absent keeps, `null` clears; `tags` and `media` replace all that were there. */
export interface PostPatch {
  /** Which of my posts. */
  id: Uuid;
  /** At most 160 characters. */
  book_title?: string | null;
  /** Long-form text. */
  content?: string;
  /** An http(s) address. */
  image_url?: string | null;
  /** At most 10. */
  media?: NewMedia[];
  /** At most 32 characters. */
  study_duration?: string | null;
  /** At most 80 characters. */
  subject?: string | null;
  /** At most 20. */
  tags?: string[];
}

/** `post.like`, `post.unlike`: which post. */
export interface PostRef {
  /** The post. */
  post_id: Uuid;
}

/** A person's presence as the one who asks may see it: the `data` of the slot `presence` in `profile:<id>`, and a row of `GET /presence`. Whoever may not see it gets what they would get of somebody who was never here. */
export interface Presence {
  /** Who. */
  user_id: Uuid;
  /** All devices together. */
  status: Status;
  /** Such as "Pair programming"; `null` while offline. */
  activity: string | null;
  /** When they were last seen to change; `null` if never. */
  last_seen_at: Timestamp | null;
}

/** `presence.set`, `PUT /me/presence`: what this device does. Absent keeps. */
export interface PresenceSet {
  /** Of the person; at most 120 characters, `null` clears. */
  activity?: string | null;
  /** Of this device: `online` (active), `idle`, or `offline` to not count any more. */
  status?: Status;
}

/** Who may see a person's presence. */
export type PresenceVisibility = 'everyone' | 'following' | 'nobody';

/** What a newcomer has to know besides the log: `data` of the subscribe reply, and of the publication `slots`, which replaces all that was known of both. */
export interface Present {
  /** How many people are in the room. */
  num_users: number;
  /** The first hundred of them; `presence()` has all. */
  people: Occupant[];
  /** What the slots hold now. */
  slots: SlotValue[];
}

/** `application/problem+json` (RFC 9457), with a stable `code`. */
export interface Problem {
  /** The HTTP status. */
  status: number;
  code: ErrorCode;
  /** The same for people. */
  title: string;
  /** What to do, when there is more to say. */
  detail?: string;
  /** The field that cannot be taken. */
  field?: string;
}

/** `profile.update`: absent keeps, `null` clears. */
export interface ProfilePatch {
  /** An http(s) address. */
  banner_image_url?: string | null;
  /** Long-form. */
  bio?: string | null;
  /** Private. */
  email?: string | null;
  /** At most 120 characters. */
  full_name?: string | null;
  /** At most 120 characters. */
  location?: string | null;
  /** An http(s) address. */
  profile_image_url?: string | null;
}

/** What was reached on a day. There is one for each scope and day. */
export interface ProgressMetric {
  /** Never changes. */
  id: Uuid;
  /** Whose. */
  user_id: Uuid;
  /** `day`, `week`, `month`, `year`, or what a front-end adds; at most 16 characters. */
  scope: string;
  /** 0 to 1,000,000. */
  value: number;
  /** What there is to reach. */
  target_value: number | null;
  /** The day. */
  captured_at: Day;
  /** Set by the database. */
  created_at: Timestamp;
}

/** `notification.read_all`: all, or those that were there at a time. */
export interface ReadNotifications {
  /** The `updated_at` of the newest that was seen; absent: all. */
  up_to?: Timestamp | null;
}

/** A time at which the server reminds of an event. */
export interface Reminder {
  /** Never changes. */
  id: Uuid;
  /** The event of the calendar. */
  event_id: Uuid;
  /** Whom to remind: the owner of the event. */
  user_id: Uuid;
  /** When. It does not move with the event. */
  remind_at: Timestamp;
  /** How: `live`. */
  delivery: string;
  /** When that was done; null until then. */
  sent_at: Timestamp | null;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** What somebody may do in a room. */
export type Role = 'owner' | 'member' | 'guest';

/** `GET /workspaces/{id}`: a whole room. `WorkspaceState` is made from it; every later event of `workspace:<id>` moves that on. */
export interface Room {
  /** The room. */
  workspace: Workspace;
  /** What I may do in it. */
  role: Role;
  /** Everybody in it, the longest there first. */
  members: Member[];
  /** Everything in it, by row and column. */
  widgets: Widget[];
  /** The files that belong to it, the oldest first. */
  attachments: Attachment[];
  /** Who the members are, in the same order; changes of it are told on `profile:<id>`. */
  people: Person[];
  /** The one position of exactly this state. */
  positions: Position[];
}

/** Puts a row of mine elsewhere in its list. */
export interface RowMove {
  /** Which row. */
  id: Uuid;
  /** The row to stand behind; absent or `null`: first. */
  after_id?: Uuid | null;
}

/** A new index of a row that was not moved itself. */
export interface RowOrder {
  /** Which row. */
  id: Uuid;
  /** Its index from now on. */
  order_index: number;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** The command is about this row and says no more. */
export interface RowRef {
  /** The row. */
  id: Uuid;
}

/** Sign-ins that ended; their sockets are closed. */
export interface SessionsEnded {
  /** The sign-ins. */
  session_ids: Uuid[];
  /** Why. */
  reason: EndReason;
}

/** A person's settings. Private. */
export interface Settings {
  /** Whose. */
  user_id: Uuid;
  /** Such as `en` or `ja`. */
  preferred_locale: string;
  /** An IANA name such as `Asia/Tokyo`. */
  timezone: string | null;
  /** `light`, `dark`, `system`, or what a front-end adds. */
  theme: string;
  /** Free, for front-ends. */
  data: Record<string, unknown>;
  /** Who may see my presence. */
  presence_visibility: PresenceVisibility;
  /** I look offline to everybody, and since when I was here last stands still. */
  invisible: boolean;
}

/** `settings.update`: absent keeps, `null` clears. */
export interface SettingsPatch {
  /** The whole object anew. */
  data?: Record<string, unknown>;
  /** Look offline. */
  invisible?: boolean;
  /** At most 10 characters. */
  preferred_locale?: string;
  /** Who may see my presence. */
  presence_visibility?: PresenceVisibility;
  /** At most 32 characters. */
  theme?: string;
  /** At most 64 characters. */
  timezone?: string | null;
}

/** A sign-in as its owner may see it: no secret. */
export interface SignIn {
  /** Names it in `DELETE /sessions/{id}`. */
  id: Uuid;
  /** When. */
  created_at: Timestamp;
  /** When it ends by itself. */
  expires_at: Timestamp;
  /** Whether it is the one that asked. */
  current: boolean;
}

/** The answer to signing up and signing in. It holds a secret and is never stored. */
export interface SignedIn {
  /** Who signed in. */
  user: Me;
  /** `shs_…`: for `Authorization: Bearer` and for `connect`. */
  token: string;
  /** When it stops working. */
  expires_at: Timestamp;
}

/** Whether somebody is here. */
export type Status = 'offline' | 'idle' | 'online';

/** A playlist. */
export interface StudyPlaylist {
  /** Never changes. */
  id: Uuid;
  /** Whose. */
  user_id: Uuid;
  /** At most 160 characters. */
  title: string;
  /** `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`. */
  provider: string;
  /** The page of that provider which is made for frames. */
  embed_url: string;
  /** The list is ordered by this, then by `created_at` and `id`. */
  order_index: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `playlist.update`: absent keeps. Afterwards the address is one of the provider. */
export interface StudyPlaylistPatch {
  /** Which playlist. */
  id: Uuid;
  /** The page of that provider which is made for frames. */
  embed_url?: string;
  /** `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`. */
  provider?: string;
  /** At most 160 characters. */
  title?: string;
}

/** A button of the quick launch. */
export interface StudyResource {
  /** Never changes. */
  id: Uuid;
  /** Whose. */
  user_id: Uuid;
  /** At most 120 characters. */
  label: string;
  /** At most 8 characters. */
  emoji: string | null;
  /** What it opens: an http(s) address. */
  url: string | null;
  /** The list is ordered by this, then by `created_at` and `id`. */
  order_index: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `resource.update`: absent keeps, `null` clears. */
export interface StudyResourcePatch {
  /** Which button. */
  id: Uuid;
  /** At most 8 characters. */
  emoji?: string | null;
  /** At most 120 characters. */
  label?: string;
  /** An http(s) address. */
  url?: string | null;
}

/** `user_tag.add`, `user_tag.remove`: which tag. */
export interface TagRef {
  /** At most 50 characters, with or without `#`; `Rust` and `rust` are one. */
  tag: string;
}

/** `GET /tags/{tag}`: what a tag leads to. */
export interface TagView {
  /** As it was asked for, without `#`. */
  tag: string;
  /** People who have it; nobody counts beyond 1,000. */
  people_count: number;
  /** Posts that carry it; nobody counts beyond 1,000. */
  posts_count: number;
  /** The first page of the people, newest first. */
  people: Page<TaggedPerson>;
  /** The first page of the posts, newest first. */
  posts: Page<FeedPost>;
}

/** A row of `GET /tags/{tag}/people`. */
export interface TaggedPerson {
  /** Who. */
  user: Person;
  /** As they write it. */
  tag: string;
  /** Since when they have it. */
  created_at: Timestamp;
}

/** One thing to do. */
export interface Task {
  /** Never changes. */
  id: Uuid;
  /** The list it is in. */
  list_id: Uuid;
  /** The owner, the same as the list's. */
  user_id: Uuid;
  /** What is to be done. */
  description: string;
  /** Ticked. */
  is_completed: boolean;
  /** When it was ticked. */
  completed_at: Timestamp | null;
  /** When it is due. */
  due_at: Timestamp | null;
  /** Lists are ordered by this, then by `created_at` and `id`. */
  order_index: number;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** A list of tasks. */
export interface TaskList {
  /** Never changes. */
  id: Uuid;
  /** The owner. */
  user_id: Uuid;
  /** At most 50 characters. */
  name: string;
  /** Long-form. */
  description: string | null;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `task_list.update`: absent keeps, `null` clears. */
export interface TaskListPatch {
  /** Which list. */
  id: Uuid;
  /** Long-form. */
  description?: string | null;
  /** At most 50 characters. */
  name?: string;
}

/** `task.move`: to another place in its list, or into another list. */
export interface TaskMove {
  /** Which task. */
  id: Uuid;
  /** The task to stand behind; absent or `null`: first. */
  after_id?: Uuid | null;
  /** The list to go to; absent: the one it is in. */
  list_id?: Uuid | null;
}

/** What a move changed: the task, and neighbours whose index had to give way. */
export interface TaskMoved {
  /** The task in its new place. */
  task: Task;
  /** Other tasks of the list that got a new index; usually none. */
  reordered: RowOrder[];
}

/** `task.update`: absent keeps, `null` clears. `completed_at` follows `is_completed`. */
export interface TaskPatch {
  /** Which task. */
  id: Uuid;
  /** What is to be done. */
  description?: string;
  /** When it is due. */
  due_at?: Timestamp | null;
  /** Ticked or not. */
  is_completed?: boolean;
}

/** How soon, from today on where the person is. */
export type Timeframe = 'week' | 'month' | 'later';

/** How many notifications are unread. */
export interface UnreadCount {
  /** A hundred at most. */
  unread_count: number;
}

/** What anyone signed in may see of a person. */
export interface User {
  /** Never changes. */
  id: Uuid;
  /** Unique without regard to case. */
  username: string;
  /** Such as "Aiko Tanaka". */
  full_name: string | null;
  /** The "About" text. */
  bio: string | null;
  /** City or region. */
  location: string | null;
  /** Avatar. */
  profile_image_url: string | null;
  /** Profile header. */
  banner_image_url: string | null;
  /** The day they came. */
  joined_at: Day;
  /** Cached aggregate. */
  followers_count: number;
  /** Cached aggregate. */
  following_count: number;
  /** Cached aggregate. */
  posts_count: number;
  /** Interests, without `#`, in alphabetical order. */
  tags: string[];
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `user.follow`, `user.unfollow`, `user.block`, `user.unblock`: whom. */
export interface UserRef {
  /** The other person. */
  user_id: Uuid;
}

/** `GET /users/{id}`: a person, and how they and I stand. */
export interface UserView {
  /** Never changes. */
  id: Uuid;
  /** Unique without regard to case. */
  username: string;
  /** Such as "Aiko Tanaka". */
  full_name: string | null;
  /** The "About" text. */
  bio: string | null;
  /** City or region. */
  location: string | null;
  /** Avatar. */
  profile_image_url: string | null;
  /** Profile header. */
  banner_image_url: string | null;
  /** The day they came. */
  joined_at: Day;
  /** Cached aggregate. */
  followers_count: number;
  /** Cached aggregate. */
  following_count: number;
  /** Cached aggregate. */
  posts_count: number;
  /** Interests, without `#`, in alphabetical order. */
  tags: string[];
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
  /** Events of my own `user:` keep it up to date. */
  followed_by_me: boolean;
  /** As of now: no event of mine tells of a change. */
  follows_me: boolean;
}

/** A widget on the canvas. */
export interface Widget {
  /** Never changes. */
  id: Uuid;
  /** The room. */
  workspace_id: Uuid;
  /** `clock`, `timer`, `todo`, … */
  type: string;
  /** Translation key. */
  title_key: string | null;
  /** Fallback label. */
  title: string | null;
  /** Column. */
  grid_x: number;
  /** Row. */
  grid_y: number;
  /** Width. */
  grid_w: number;
  /** Height. */
  grid_h: number;
  /** Free. */
  settings: Record<string, unknown>;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `widget.move`: the drop at the end of a drag, or a move without one. */
export interface WidgetMove {
  /** Which widget. */
  id: Uuid;
  /** Column. */
  grid_x: number;
  /** Row. */
  grid_y: number;
  /** The drag that ends with this. */
  drag_id?: Uuid | null;
  /** Height; absent keeps. */
  grid_h?: number | null;
  /** Width; absent keeps. */
  grid_w?: number | null;
}

/** A widget in a new place, and the gesture that brought it there. */
export interface WidgetMoved {
  /** The widget where it is now. */
  widget: Widget;
  /** The drag that ended with this; its slot values are void from here on. */
  drag_id: Uuid | null;
}

/** `widget.update`: absent keeps, `null` clears. Places change by `widget.move`. */
export interface WidgetPatch {
  /** Which widget. */
  id: Uuid;
  /** Replaces the settings as a whole. */
  settings?: Record<string, unknown>;
  /** At most 120 characters. */
  title?: string | null;
  /** At most 120 characters. */
  title_key?: string | null;
}

/** A room. */
export interface Workspace {
  /** Never changes. */
  id: Uuid;
  /** The owner. */
  user_id: Uuid;
  /** At most 80 characters. */
  name: string;
  /** `image`, `video` or `color`. */
  background_type: BackgroundType;
  /** Address or asset key. */
  background_value: string | null;
  /** `#rrggbb` or `#rrggbbaa`. */
  background_color: string | null;
  /** Free; `{"guests": true}` lets anyone signed in look on. */
  settings: Record<string, unknown>;
  /** Set by the database. */
  created_at: Timestamp;
  /** Set by the database. */
  updated_at: Timestamp;
}

/** `workspace.update`: absent keeps, `null` clears. */
export interface WorkspacePatch {
  /** Which room. */
  id: Uuid;
  /** `#rrggbb` or `#rrggbbaa`. */
  background_color?: string | null;
  /** `image`, `video` or `color`. */
  background_type?: BackgroundType;
  /** Address or asset key. */
  background_value?: string | null;
  /** At most 80 characters. */
  name?: string;
  /** Replaces the settings as a whole. */
  settings?: Record<string, unknown>;
}
