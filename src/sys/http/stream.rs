//! Answers that are read as they come: lists of any length, and watches.

use std::io::{Error as IoError, Read, Result as IoResult};
use std::time::Duration;

use ureq::BodyReader;

use super::{Client, Failure, Response, SHORTEST_ATTEMPT, malformed};

/// The body of an answer, read as it comes and without a limit: read to its end, the connection can be used again.
pub struct Stream {
    body: BodyReader<'static>,
    longest: Duration,
}

/// An answer to [`Client::stream`].
pub enum Answer {
    /// Status 200.
    Stream(Stream),
    /// Any other, whole.
    Whole(Response),
}

impl Client {
    /// GET, with the body of a success left to be read; `longest` covers that too.
    pub fn stream(&self, path: &str, longest: Duration) -> Result<Answer, Failure> {
        let longest = longest.max(SHORTEST_ATTEMPT);
        let request = self.request(self.authorization.as_deref(), "GET", path)?;
        let request = request.body(()).map_err(|e| malformed(&e))?;
        let request = self.agent.configure_request(request).timeout_global(Some(longest)).build();
        let answer = self.agent.run(request).map_err(|e| self.failure(e, longest))?;
        if answer.status() != 200 {
            return self.whole(answer, longest).map(Answer::Whole);
        }
        Ok(Answer::Stream(Stream { body: answer.into_body().into_reader(), longest }))
    }

    /// Why reading a stream ended before its end.
    pub fn broken(&self, stream: &Stream, error: IoError) -> Failure {
        self.failure(error.into(), stream.longest)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        self.body.read(buffer)
    }
}
