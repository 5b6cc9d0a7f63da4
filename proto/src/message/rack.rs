//! The filament rack's tag reader at 11. Requests carry STATUS FF. Source: the one request that the
//! vendor's host sends when the rack's button closes, and the reply it accepts.

use super::declare::functions;
use super::kind::Tag;

functions! {
    class Rack, requests with REQUEST;

    /// Reads the tag: exactly its 40 characters, under any STATUS.
    0x02 GET_RFID = get_rfid;
    host 500 ms, 5 sends;
    effect Clear;
    request { Ask {} }
    reply { Tag status Any { tag: Tag; Host } }
}
