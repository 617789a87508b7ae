//! What a test can do with every stand-in.

/// The methods that a stand-in with the fields `shared` and `server` has, where signatures are asked for by this action.
macro_rules! controls {
    ($stand_in:ty, $sign:literal) => {
        impl $stand_in {
            /// Where it listens, as service and as whoever lends keys.
            #[must_use]
            pub const fn url(&self) -> &::url::Url {
                self.server.url()
            }

            /// Ends it: connections are cut, new ones refused. What it knows is kept.
            pub fn stop(&mut self) {
                self.server.stop();
            }

            /// Starts it again at the same address.
            ///
            /// # Errors
            /// When somebody took the port meanwhile.
            pub fn start_again(&mut self) -> ::std::io::Result<()> {
                self.server.start_again()
            }

            /// Answers every signing request in this way until it is healed.
            pub fn fail(&self, fault: $crate::key_service::Fault) {
                self.fail_times(u32::MAX, fault);
            }

            /// Answers the next so many signing requests in this way. Rehearsals (`DryRun`) are none.
            pub fn fail_times(&self, times: u32, fault: $crate::key_service::Fault) {
                self.fail_action($sign, times, fault);
            }

            /// The same for any action.
            pub fn fail_action(&self, action: &str, times: u32, fault: $crate::key_service::Fault) {
                let rule = $crate::key_service::Rule::new(action, times, fault);
                self.shared.state().ledger.rules.push(rule);
            }

            /// Forgets all faults.
            pub fn heal(&self) {
                self.shared.state().ledger.rules.clear();
            }

            /// How often this action was asked for with a good signature, also where it then failed. A rehearsal of
            /// AWS is `DryRun`.
            #[must_use]
            pub fn asked(&self, action: &str) -> usize {
                self.shared.state().ledger.asked.iter().filter(|asked| *asked == action).count()
            }

            /// Lends access keys for the role of this name from now on, each for so long.
            pub fn set_role(&self, name: &str, lifetime: ::std::time::Duration) {
                self.shared.state().ledger.role = Some((name.to_owned(), lifetime));
            }

            /// How many access keys were lent.
            #[must_use]
            pub fn lent(&self) -> usize {
                self.shared.state().ledger.lent
            }

            /// Ends all access keys that were lent so far.
            pub fn expire_lent_keys(&self) {
                self.shared.state().ledger.expire();
            }

            /// Makes whoever lends keys fail, or work again.
            pub fn set_lending_broken(&self, broken: bool) {
                self.shared.state().ledger.is_lending_broken = broken;
            }
        }
    };
}

pub(crate) use controls;
