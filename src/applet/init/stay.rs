use super::boot::{Boot, late};
use crate::error::Result;
use crate::sys::machine::{self, End};

impl Boot {
    /// Reaps and restarts until a signal asks for the end.
    pub fn stay(&mut self) {
        while self.asked.is_none() {
            self.turn(None);
        }
    }

    /// Stops what was started, the last first, then the rest.
    pub fn stop_all(&mut self) {
        let console = &mut self.console;
        self.crew.stop(&mut |crew, event| late(console, crew, event));
        self.crew.stop_rest(machine::signal_all, &mut |crew, event| late(console, crew, event));
    }

    /// Stops what runs, and ends the machine; in a container init
    /// ends alone.
    pub fn end(mut self, how: End) -> Result<()> {
        let is_machine = machine::is_whole();
        let what = match how {
            _ if !is_machine => "stopping",
            End::Restart => "stopping, then restarting the machine",
            End::PowerOff => "stopping, then turning the machine off",
        };
        self.console.say(6, what);
        self.stop_all();
        if !is_machine {
            return Ok(());
        }
        let error = machine::end(how);
        self.console.say(3, &format!("the machine does not end: {error}: turn it off"));
        loop {
            self.turn(None);
        }
    }
}
