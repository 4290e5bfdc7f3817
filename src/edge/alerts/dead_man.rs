//! The dead-man switch (reliability.md section 6): a URL that is called when a run starts and when it ends, so that
//! somebody notices a job that does not run at all. Its failure is logged and changes nothing.

use super::post;
use super::send::{Answer, Post};
use crate::domain::fault::{ExitCode, Fault};
use crate::job::alerts::Target;
use std::time::Duration;

const CALL: Duration = Duration::from_secs(5);

/// Somebody who waits to hear from the job. Without a URL nobody does.
pub struct DeadMan {
    post: Option<Post>,
    run_id: String,
}

impl DeadMan {
    /// # Errors
    /// [`ExitCode::Config`] for an address that is not allowed, or a secret that cannot be read.
    pub fn new(target: Option<&Target>, run_id: &str) -> Result<DeadMan, Fault> {
        Ok(DeadMan { post: target.map(post).transpose()?, run_id: run_id.to_string() })
    }

    /// The run begins: `<url>/start`. What went wrong, if anything did.
    pub fn started(&self) -> Option<String> {
        self.call("start", format!("run {}", self.run_id))
    }

    /// The run ended. Success (0 and 11) calls the URL itself, everything else `<url>/<code>`.
    pub fn ended(&self, code: ExitCode) -> Option<String> {
        let number = code as u8;
        let path = if matches!(code, ExitCode::Ok | ExitCode::Findings) { String::new() } else { number.to_string() };
        self.call(&path, format!("run {} ended with {number} {}", self.run_id, code.name()))
    }

    fn call(&self, path: &str, body: String) -> Option<String> {
        let post = self.post.as_ref()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Some("the dead-man URL cannot be called".to_string()) };
        match runtime.block_on(post.below(path, body, CALL)) {
            Answer::Accepted => None,
            Answer::Later(_, said) | Answer::Refused(said) => Some(format!("the dead-man URL was not reached: {said}")),
        }
    }
}
