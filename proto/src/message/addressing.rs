//! Address management, which every class of device shares. STATUS 00 both ways; the vendor's host
//! sends each request once. Source: the vendor's address master, box firmware 1.1.3, captures; the
//! boot, with its loaders and F0, is from a public capture of a Hi.

use super::codes::{DeviceType, LoaderCommand, Program};
use super::declare::functions;
use super::kind::{Rest, Text, Uniid};
use crate::address::Address;

functions! {
    class Addressing, requests with OK;

    /// To FE, for motors to FD: the device with this identity takes the address, and answers from it
    /// (a box's application three times, back to back; a loader once).
    0xa0 SET_SLAVE_ADDR = set_slave_addr;
    host 50 ms, 1 sends;
    effect Firmware;
    request { Assign { address: Address; Wire uniid: Uniid; Wire } }
    reply { Identity { device_type: DeviceType; Wire program: Program; Wire uniid: Uniid; Wire } }

    /// To FE: boxes without an address whose window holds FE answer, from FE, after a random delay.
    /// Motors are asked so at FD, with FD as the window, and answer from FD.
    0xa1 GET_SLAVE_INFO = get_slave_info;
    host 1_000 ms, 1 sends;
    effect Clear;
    request { Window { low: u8 = "0xfe"; Wire high: u8 = "0xfe"; Wire } }
    reply { Identity { device_type: DeviceType; Wire program: Program; Wire uniid: Uniid; Wire } }

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

    /// To everyone: with 01 devices in their loader start the application, sent by a K2's host after
    /// every round in which one answered from its loader. A Hi's host sends it with 00 at boot,
    /// before it asks who is there.
    0x0b LOADER_TO_APP = loader_to_app;
    host 50 ms, 1 sends;
    effect Firmware;
    unknown "what 00 does, and what a loader answers, if anything";
    request { Start { argument: u8 = "1"; Wire } }
    reply { Reply status Any { raw: Rest; Inferred } }

    /// To a device in its loader, at its own address; the name is ours. A Hi's host sends 00, 03, 06
    /// (to a box only) and 02 in this order at boot, then the application runs. 00 is answered by
    /// the versions of loader and application as text, the others by a byte. A box's application
    /// answers PARAMS_ERR.
    0xf0 LOADER_F0 = loader_f0;
    host 1_000 ms, 1 sends;
    effect Firmware;
    unknown "what 02, 03 and 06 do and what the bytes E0 and 75 in their answers say; how long a host waits";
    request {
        Versions if command = 0 { command: LoaderCommand; Wire }
        Command { command: LoaderCommand; Wire }
    }
    reply {
        Versions if command = 0 { versions: Text; Wire }
        Value { value: u8; Wire }
    }
}
