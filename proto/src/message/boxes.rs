//! The functions of the filament boxes (addresses 01–04, and FE, EA, EB). Requests carry STATUS FF.
//!
//! Sources: names, arguments, time-outs and what the host reads from its live modules; lengths,
//! states and error replies from the box firmware 1.1.3; what captures hold is marked `Wire`.

use super::codes::*;
use super::declare::functions;
use super::kind::{Ascii3, Bytes2, F32Be, Rest, Tags, Text};
use crate::slot::SlotSet;

functions! {
    class Box, requests with REQUEST;

    /// Opens the connection; the box resets its lights.
    0x01 CREATE_CONNECT = create_connect;
    host 2_000 ms, 5 sends;
    effect Setting;
    request { Connect {} }
    reply { Done {} }

    /// Reads what the tag readers saw: a word or a 40-character record for each slot asked.
    0x02 GET_RFID = get_rfid;
    host 2_000 ms, 5 sends;
    effect Clear;
    unknown "the meaning of the record's fields beside material and colour is from documents only";
    request { Ask { slots: SlotSet = "all"; Host } }
    reply { Tags { tags: Tags; Firmware } }

    /// Asks what is left on the spools, in percent of an estimate from the spool's diameter; 100
    /// where there is none. Despite its name no length.
    0x03 GET_REMAIN_LEN = get_remain_len;
    host 2_000 ms, 5 sends;
    effect Clear;
    request { Ask { slots: SlotSet = "all"; Host } }
    reply { Percent {
        a: Remain, "%"; Firmware b: Remain, "%"; Firmware c: Remain, "%"; Firmware
        d: Remain, "%"; Firmware
    } }

    /// Print mode with one slot (the box keeps the buffer filled by itself), or idle mode (motors
    /// off, a latched error cleared).
    0x04 SET_BOX_MODE = set_box_mode;
    host 2_000 ms, 5 sends;
    effect Motion if mode = 0, Setting if mode = 1;
    request { Mode { slot: SlotSet = "none"; Wire mode: BoxMode; Wire } }
    reply { Done {} }

    /// Reads the two switches of the printer's filament buffer.
    0x05 GET_BUFFER_STATE = get_buffer_state;
    host 2_000 ms, 5 sends;
    effect Read;
    request { Ask {} }
    reply { State { buffer: Buffer; Wire } }

    /// Works a slot's feeder motor by hand. Never sent by the vendor's host; firmware 1.1.3 answers
    /// PARAMS_ERR to all of it.
    0x06 CTRL_MATERIAL_MOTOR_ACTION = ctrl_material_motor_action;
    host 2_000 ms, 5 sends;
    effect Motion;
    unknown "whether any firmware executes it";
    request { Action { slots: SlotSet; Document action: MotorAction; Document } }
    reply { Done {} }

    /// Works the hub motor by hand, in idle state only.
    0x07 CTRL_CONNECTION_MOTOR_ACTION = ctrl_connection_motor_action;
    host 2_000 ms, 5 sends;
    effect Motion;
    request { Action { action: MotorAction; Host } }
    reply {
        Done {}
        WrongState status Is(0x03) { state: BoxState; Firmware }
    }

    /// Reads a row of photo sensors: the slots with filament at the inlet, or in the hub.
    0x08 GET_FILAMENT_SENSOR_STATE = get_filament_sensor_state;
    host 2_000 ms, 5 sends;
    effect Read;
    request { Ask { sensors: Sensors; Wire } }
    reply { Slots { slots: SlotSet; Wire } }

    /// Sets a motor's speed. Never sent by the vendor's host.
    0x09 SET_MOTOR_SPEED = set_motor_speed;
    host 2_000 ms, 5 sends;
    effect Setting;
    unknown "the firmware demands two bytes yet reads a third as the speed, which is the CRC";
    request { Speed { motor: BoxMotor; Firmware direction: u8; Firmware } }
    reply { Done { zero: u8; Firmware } }

    /// Reads climate and state, and clears what it reports once. A latched error is the reply's
    /// STATUS, with the data still there; STATUS 30 replaces the data by what changed at the slots.
    0x0a GET_BOX_STATE = get_box_state;
    host 3_600_000 ms, 5 sends;
    effect Clear;
    request { Ask {} }
    reply {
        Changes status Is(0x30) {
            a: SlotChange; Firmware b: SlotChange; Firmware c: SlotChange; Firmware
            d: SlotChange; Firmware
        }
        State status Any {
            temperature: i8, "C"; Wire humidity: i8, "%"; Wire ran: Ran; Firmware
            state: BoxState; Wire
        }
    }

    /// Tests the lights (in the application; the loader's 0B is LOADER_TO_APP).
    0x0b LED_TEST = led_test;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "the second byte";
    request { Test { slots: SlotSet; Firmware value: u8; Firmware } }
    reply { Done {} }

    /// Reads the box's mode. The host takes the first byte as the mode and leaves a second unread;
    /// firmware 1.1.3 sends one byte, a code that it keeps in its memory.
    0x0c GET_BOX_MODE = get_box_mode;
    host 2_000 ms, 5 sends;
    effect Clear;
    unknown "whether the firmware's stored code is the host's mode";
    request { Ask {} }
    reply {
        Code { mode: BoxState; Host }
        Mode { mode: BoxState; Host unread: u8; Host }
    }

    /// Preloading: off, on (every slot, whatever the mask), run now for some slots, or run without
    /// the tag reader. Run answers only when it has finished, which can take minutes.
    0x0d SET_PRE_LOADING = set_pre_loading;
    host 300_000 ms, 5 sends;
    effect Setting if action = 0, Setting if action = 1, Motion if action = 2, Motion if action = 3;
    request { Preload { slots: SlotSet = "all"; Wire action: Preload; Wire } }
    reply { Done {} }

    /// Reads or clears the odometer, one a box. It falls while feeding and rises while pulling back.
    0x0e MEASURING_WHEEL = measuring_wheel;
    host 2_000 ms, 5 sends;
    effect Setting if action = 0, Read if action = 1;
    request { Wheel { action: Wheel = "read"; Wire } }
    reply {
        Cleared if action = 0 {}
        Reading if action = 1 { odometer: F32Be, "mm"; Wire }
    }

    /// Whether the box takes up slack by itself. Sent 01 to every box before a load, 00 after.
    0x0f TIGHTEN_UP_ENABLE = tighten_up_enable;
    host 2_000 ms, 5 sends;
    effect Setting;
    unknown "which value enables: host and firmware name them the other way round";
    request { Tighten { tighten: Tighten; Wire } }
    reply { Done {} }

    /// Feeds a slot's filament to the toolhead, one stage a call: to the hub (00), start (04), poll
    /// (05), end (06, the toolhead sensor was reached), push (07). While a feed runs the box hears
    /// nothing but 05 and 06.
    0x10 EXTRUDE_PROCESS = extrude_process;
    host 15_000 ms, 5 sends;
    effect Clear if stage = 5, Motion;
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

    /// Pulls filament back: until the buffer is empty (00, mask 00 for whatever is in the hub), or
    /// through the hub into its slot (01).
    0x11 RETRUDE_PROCESS = retrude_process;
    host 150_000 ms, 5 sends;
    effect Motion;
    request { Stage { slot: SlotSet; Wire stage: RetrudeStage; Wire } }
    reply { Done {} }

    /// A feed in one call. The firmware takes the slot alone; the host adds how far.
    0x13 EXTRUDE_PROCESS_MODEL2 = extrude_process_model2;
    host 150_000 ms, 5 sends;
    effect Motion;
    unknown "what firmware takes the host's two bytes: 1.1.3 answers PARAMS_ERR";
    request {
        Slot { slot: SlotSet; Firmware }
        SlotTo { slot: SlotSet; Host target: ExtrudeTarget; Host }
    }
    reply { Done {} }

    /// Reads version (three characters, shown with dots) and serial number.
    0x14 GET_VERSION_SN = get_version_sn;
    host 2_000 ms, 5 sends;
    effect Read;
    request { Ask {} }
    reply { Version { version: Ascii3; Wire serial: Text; Wire } }

    /// Reads which parts work.
    0x15 GET_HARDWARE_STATUS = get_hardware_status;
    host 2_000 ms, 5 sends;
    effect Read;
    unknown "the bytes behind the six flags (ten zeros in firmware 1.1.3)";
    request { Ask {} }
    reply { Parts {
        eeprom: Part; Host humidity: Part; Host wheel: Part; Host buffer: Part; Host
        rfid_left: Part; Host rfid_right: Part; Host more: Rest; Firmware
    } }

    /// Takes any byte and answers OK. Firmware only.
    0x30 UPDATE_STATE = update_state;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "what it is for";
    request { Update { value: u8; Firmware } }
    reply { Done {} }

    /// Factory: changes a stored code, then reboots. Firmware only.
    0x50 FACTORY_50 = factory_50;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "the code";
    request { Code { code: u8; Firmware } }
    reply { Reply status Any { raw: Rest; Firmware } }

    /// Factory or update. Firmware only.
    0x51 FACTORY_51 = factory_51;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "what it does";
    request { Value { value: u8; Firmware } }
    reply { Reply status Any { raw: Rest; Firmware } }

    /// Factory or update; its reply carries FUNC 53 and two bytes. Firmware only.
    0x52 FACTORY_52 = factory_52;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "the two bytes";
    request { Ask {} }
    reply { Two { raw: Bytes2; Firmware } }

    /// Factory or update; also the FUNC of the reply to 52. Firmware only.
    0x53 FACTORY_53 = factory_53;
    host 2_000 ms, 5 sends;
    effect Firmware;
    unknown "what it does";
    request { Two { raw: Bytes2; Firmware } }
    reply { Reply status Any { raw: Rest; Firmware } }

    /// Tests the line. The host expects its byte back; firmware 1.1.3 answers the byte plus one.
    0x55 COMMUNICATION_TEST = communication_test;
    host 2_000 ms, 5 sends;
    effect Firmware;
    request { Test { value: u8; Host } }
    reply { Value { value: u8; Firmware } }

    /// Answers, then reboots. Firmware only.
    0x56 FACTORY_56 = factory_56;
    host 2_000 ms, 5 sends;
    effect Firmware;
    request { Reboot {} }
    reply { Reply status Any { raw: Rest; Firmware } }
}
