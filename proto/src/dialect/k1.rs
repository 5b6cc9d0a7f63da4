//! The CFS kit of the K1 family: what is known to differ from the K2 family.
//!
//! Sources: a serial dump of one box with a kit's host through a load and an unload (`Wire`), and
//! a document's claim about the K1 family. In the dump every frame reads by K2's tables, functions
//! 05 and 08 included; the box reports version 110. The host differs: a load ends with stage 06
//! (stage 07 is never sent) and an unload sends 11 with stage 00 once, where a K2's sends it four
//! times.
//!
//! The claim is that K1-family firmware is a CAN build that gives 02, 05, 08 and 0C other meanings.
//! It does not say which ones, and the dump refutes it for 05 and 08 on this bus. 02 and 0C are not
//! in the dump: they keep K2's layouts, marked as inferred.

use super::{Dialect, K2};
use crate::message::Function;

/// The functions of a kit's box whose standing differs.
pub mod boxes {
    use crate::message::codes::*;
    use crate::message::declare::functions;
    use crate::message::kind::{F32Be, Tags};
    use crate::slot::SlotSet;

    functions! {
        class Box, requests with REQUEST;

        /// Reads what the tag readers saw, as a K2's box does.
        0x02 GET_RFID = get_rfid;
        host 2_000 ms, 5 sends;
        effect Clear;
        unknown "whether K1-family firmware means something else by 02, as a document claims of its CAN build";
        request { Ask { slots: SlotSet = "all"; Inferred } }
        reply { Tags { tags: Tags; Inferred } }

        /// Reads the box's mode, as a K2's box does.
        0x0c GET_BOX_MODE = get_box_mode;
        host 2_000 ms, 5 sends;
        effect Clear;
        unknown "whether K1-family firmware means something else by 0C, as a document claims of its CAN build";
        request { Ask {} }
        reply {
            Code { mode: BoxState; Inferred }
            Mode { mode: BoxState; Inferred unread: u8; Inferred }
        }

        /// Feeds a slot's filament to the toolhead, one stage a call: to the hub (00), start (04),
        /// poll (05), end (06, the toolhead sensor was reached). The kit's host ends there: it sends
        /// no push (07).
        0x10 EXTRUDE_PROCESS = extrude_process;
        host 15_000 ms, 5 sends;
        effect Clear if stage = 5, Motion;
        unknown "stages 01, 02, 03 and 07, which the kit's host was not seen to send";
        request { Stage { slot: SlotSet; Wire stage: ExtrudeStage; Wire param: u8 = "0", "mm"; Wire } }
        reply {
            ToHub if stage = 0 status Any { state: BoxState; Wire }
            FeedUntilStill if stage = 1 {}
            HubFeed if stage = 2 {}
            Abort if stage = 3 {}
            FeedStart if stage = 4 {}
            FeedPoll if stage = 5 status Any { odometer: F32Be, "mm"; Wire }
            FeedEnd if stage = 6 {}
            Push if stage = 7 {}
        }

        /// Pulls filament back: until the buffer is empty (00, which the kit's host sends once), or
        /// through the hub into its slot (01).
        0x11 RETRUDE_PROCESS = retrude_process;
        host 150_000 ms, 5 sends;
        effect Motion;
        request { Stage { slot: SlotSet; Wire stage: RetrudeStage; Wire } }
        reply { Done {} }
    }
}

static FUNCTIONS: &[&Function] = boxes::FUNCTIONS;

/// The CFS kit of the K1 family, over [`K2`].
pub static K1: Dialect = Dialect {
    name: "k1",
    title: "CFS kit of the K1 family, by one capture of a load and an unload",
    base: Some(&K2),
    devices: &[],
    functions: FUNCTIONS,
    statuses: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Class;
    use crate::evidence::Evidence;

    #[test]
    fn the_layouts_are_k2s() {
        for own in K1.functions {
            let base = K2.functions(Class::Box).find(|f| f.code == own.code).unwrap();
            assert_eq!(own.name, base.name);
            for (mine, theirs) in [(own.request, base.request), (own.reply, base.reply)] {
                assert_eq!(mine.len(), theirs.len(), "{}", own.name);
                for (mine, theirs) in mine.iter().zip(theirs) {
                    assert_eq!(
                        (mine.name, mine.when, mine.status, mine.fields),
                        (theirs.name, theirs.when, theirs.status, theirs.fields)
                    );
                }
            }
        }
    }

    #[test]
    fn what_the_claim_touches_is_marked() {
        for own in K1.functions.iter().filter(|f| matches!(f.code, 0x02 | 0x0c)) {
            assert!(own.unknown.contains("CAN"), "{}", own.name);
            let fields = own.reply.iter().flat_map(|form| form.fields);
            assert!(fields.into_iter().all(|field| field.evidence == Evidence::Inferred));
        }
    }
}
