//! What an adapter asks a provider's API for, as plain data: `edge` carries it out. No secret is ever in here.

use crate::domain::period::Days;
use std::collections::BTreeMap;

/// The account that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// As the job names it.
    pub name: &'a str,
    /// What else the provider needs to know, from `[source.api]` of the job: a project, a dataset, the ids of
    /// keys. Never a secret.
    pub settings: &'a BTreeMap<String, String>,
}

impl Account<'_> {
    /// A setting, where the job gives it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    /// A question that needs a body; it changes nothing at the provider.
    Post,
}

/// How the secret is shown. The value is known to `edge` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// `<name>: <secret>`.
    Header(&'static str),
    /// `Authorization: <word> <secret>`.
    Authorization(&'static str),
    /// The secret is a service account's key file; a token for this scope is fetched with it.
    ServiceAccount { scope: &'static str },
}

/// One question: the first page of a chain, or one that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of the [`super::Report`] that the answer is a page of.
    pub report: &'static str,
    /// The UTC days that the whole chain speaks for.
    pub days: Days,
    /// `https://host`, without a path. The job's `base_url` replaces it.
    pub origin: &'static str,
    pub method: Method,
    /// From `/` on, already percent-encoded.
    pub path: String,
    /// In this order, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Further headers, such as a version.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Option<String>,
    pub auth: Auth,
    /// What the answer is grouped by: handed to [`super::Adapter::parse`] with each page.
    pub group_by: Vec<String>,
    /// How the page is written.
    pub form: Form,
}

/// The form of an answer: its content type is checked, and the end of its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv,
}

/// How fast and how far back a provider may be asked (its sheet under "limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least time between two requests of one account.
    pub pause_ms: u32,
    /// Days before the as-of day that are asked again each night, because the provider may still change them.
    pub trailing_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pause_ms: 200, trailing_days: 35 }
    }
}
