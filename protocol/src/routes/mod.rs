//! The calls of REST, below `/api/v1`: what each takes and answers. Tests compare the table with the server's routers.

mod table;

use schemars::JsonSchema;

use crate::accounts::SignedIn;
use crate::describe::{FreeObject, SchemaOf, schema_of};
use crate::rest::Page;

pub use table::ROUTES;

/// What all routes begin with.
pub const BASE: &str = "/api/v1";

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Below [`BASE`], with names in braces.
    pub path: &'static str,
    /// For people.
    pub doc: &'static str,
    /// The command that it runs, if it does.
    pub command: Option<&'static str>,
    /// The fields of the command that are in the path, in their order; the body has the others.
    pub ids: &'static [&'static str],
    /// What may follow the question mark, and what it says.
    pub query: &'static [(&'static str, &'static str)],
    /// The list comes in pages.
    pub paged: bool,
    /// The body of what runs no command.
    pub body: Option<SchemaOf>,
    /// The answer of what runs no command; without one there is no body.
    pub answer: Option<SchemaOf>,
    /// Something is made: 201.
    pub makes: bool,
    /// Bytes of any kind travel, not JSON: as the body of what makes something, otherwise as the answer.
    pub file: bool,
    /// Needs no sign-in.
    pub open: bool,
    /// Codes of its own, besides those that every call of its kind may have.
    pub fails: &'static [&'static str],
}

impl Route {
    const fn new(method: &'static str, path: &'static str, doc: &'static str) -> Self {
        let (query, fails): (&[_], &[_]) = (&[], &[]);
        Self {
            method,
            path,
            doc,
            command: None,
            ids: &[],
            query,
            paged: false,
            body: None,
            answer: None,
            makes: false,
            file: false,
            open: false,
            fails,
        }
    }

    const fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema_of::<T>);
        self
    }

    const fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Some(schema_of::<T>);
        self
    }

    const fn pages<T: JsonSchema>(mut self) -> Self {
        self.paged = true;
        self.answers::<Page<T>>()
    }

    /// A list in pages of its own shape.
    const fn lists<T: JsonSchema>(mut self) -> Self {
        self.paged = true;
        self.answers::<T>()
    }

    /// Takes a file and makes something of it.
    const fn uploads(mut self) -> Self {
        self.file = true;
        self.makes = true;
        self
    }

    /// Answers what is in a file.
    const fn downloads(mut self) -> Self {
        self.file = true;
        self
    }

    const fn asks(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    const fn fails(mut self, codes: &'static [&'static str]) -> Self {
        self.fails = codes;
        self
    }

    /// Signs somebody in, whoever they are.
    const fn signs_in(mut self) -> Self {
        self.open = true;
        self.makes = true;
        self.answers::<SignedIn>()
    }

    /// A document, for everybody.
    const fn opens(mut self) -> Self {
        self.open = true;
        self.answers::<FreeObject>()
    }

    /// The HTTP status when all is well.
    pub fn status(&self) -> u16 {
        let makes = self.makes || self.command.is_some_and(makes);
        match (makes, self.command.is_some() || self.answer.is_some() || self.file) {
            (true, _) => 201,
            (false, true) => 200,
            (false, false) => 204,
        }
    }
}

/// Whether a command makes something: REST answers 201 then.
pub fn makes(command: &str) -> bool {
    command.ends_with(".create") || command == "member.add"
}

const fn get(path: &'static str, doc: &'static str) -> Route {
    Route::new("GET", path, doc)
}

const fn post(path: &'static str, doc: &'static str) -> Route {
    Route::new("POST", path, doc)
}

/// What it does is said where the command is.
const fn command(
    method: &'static str,
    path: &'static str,
    command: &'static str,
    ids: &'static [&'static str],
) -> Route {
    let mut route = Route::new(method, path, "");
    route.command = Some(command);
    route.ids = ids;
    route
}
