//! Address management, which every class of device shares. STATUS 00 both ways; the vendor's host
//! sends each request once. Source: the vendor's address master, box firmware 1.1.3, captures.

use super::codes::{DeviceType, Program};
use super::declare::functions;
use super::kind::{Rest, Uniid};
use crate::address::Address;

functions! {
    class Addressing, requests with OK;

    /// To FE: the device with this identity takes the address, and answers from it (a box three
    /// times, back to back).
    0xa0 SET_SLAVE_ADDR = set_slave_addr;
    host 50 ms, 1 sends;
    effect Firmware;
    request { Assign { address: Address; Host uniid: Uniid; Host } }
    reply { Identity { device_type: DeviceType; Wire program: Program; Wire uniid: Uniid; Wire } }

    /// To FE: devices without an address whose window holds FE answer, from FE, after a random
    /// delay.
    0xa1 GET_SLAVE_INFO = get_slave_info;
    host 1_000 ms, 1 sends;
    effect Clear;
    request { Window { low: u8 = "0xfe"; Wire high: u8 = "0xfe"; Wire } }
    reply { Identity { device_type: DeviceType; Host program: Program; Host uniid: Uniid; Host } }

    /// Asks whether a device is still there.
    0xa2 ONLINE_CHECK = online_check;
    host 100 ms, 1 sends;
    effect Read;
    request { Ask {} }
    reply { Identity { device_type: DeviceType; Wire program: Program; Wire uniid: Uniid; Wire } }

    /// Asks who has an address.
    0xa3 GET_ADDR_TABLE = get_addr_table;
    host 50 ms, 1 sends;
    effect Read;
    request { Ask {} }
    reply { Identity { device_type: DeviceType; Wire program: Program; Wire uniid: Uniid; Wire } }

    /// To everyone: devices in their loader start the application. Sent after every round in which
    /// one answered from its loader.
    0x0b LOADER_TO_APP = loader_to_app;
    host 50 ms, 1 sends;
    effect Firmware;
    unknown "what a loader answers, if anything";
    request { Start { argument: u8 = "1"; Host } }
    reply { Reply status Any { raw: Rest; Inferred } }
}
