//! What people study, in the state behind `user:<id>`.

use super::{Misplaced, UserState};
use crate::event::Event;
use crate::metrics::ProgressMetric;

impl UserState {
    /// Moves the part of what somebody studies one event on.
    pub(super) fn apply_study(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::CourseCreated(course) | Event::CourseUpdated(course) => {
                self.courses.insert(course.id, course.clone());
            }
            Event::CourseDeleted(gone) => _ = self.courses.remove(&gone.id),
            Event::AssignmentCreated(assignment) | Event::AssignmentUpdated(assignment) => {
                self.assignments.insert(assignment.id, assignment.clone());
            }
            Event::AssignmentDeleted(gone) => _ = self.assignments.remove(&gone.id),
            Event::ResourceCreated(resource) | Event::ResourceUpdated(resource) => {
                self.resources.insert(resource.id, resource.clone());
            }
            Event::ResourceMoved(moved) => moved.apply(&mut self.resources),
            Event::ResourceDeleted(gone) => _ = self.resources.remove(&gone.id),
            Event::FocusEntryCreated(entry) | Event::FocusEntryUpdated(entry) => {
                self.focus_entries.insert(entry.id, entry.clone());
            }
            Event::FocusEntryMoved(moved) => moved.apply(&mut self.focus_entries),
            Event::FocusEntryDeleted(gone) => _ = self.focus_entries.remove(&gone.id),
            Event::PlaylistCreated(playlist) | Event::PlaylistUpdated(playlist) => {
                self.playlists.insert(playlist.id, playlist.clone());
            }
            Event::PlaylistMoved(moved) => moved.apply(&mut self.playlists),
            Event::PlaylistDeleted(gone) => _ = self.playlists.remove(&gone.id),
            Event::ProgressMetricRecorded(metric) => self.record(metric),
            Event::ProgressMetricDeleted(gone) => {
                self.progress_metrics.remove(&gone.scope);
                self.progress_metrics.extend(gone.latest.clone().map(|latest| (gone.scope.clone(), latest)));
            }
            _ => return Err(Misplaced),
        }
        Ok(())
    }

    /// What was recorded for an earlier day than the newest is history.
    fn record(&mut self, metric: &ProgressMetric) {
        let newest = self.progress_metrics.get(&metric.scope);
        if newest.is_none_or(|newest| newest.captured_at <= metric.captured_at) {
            self.progress_metrics.insert(metric.scope.clone(), metric.clone());
        }
    }
}
