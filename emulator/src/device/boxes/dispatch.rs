//! What a request does: lengths, arguments and states are checked here, in the firmware's order.
//! What takes time becomes a [`Command`] of the bus thread.

use k485_proto::address::Address;
use k485_proto::message::boxes::*;
use k485_proto::message::codes::*;
use k485_proto::message::kind::F32Be;
use k485_proto::slot::SlotSet;

use super::BoxDevice;
use super::commands::{Command, Motion};
use super::feed::Feed;
use super::receiver::Heard;
use super::task::Step;
use crate::plant::{Drive, Plant, SLOTS};

/// PARAMS_ERR: wrong length, argument or function.
const PARAMS: u8 = 0x01;
/// CRC_ERR.
const CRC: u8 = 0x02;
/// RETRUDE_ERR3: no slot is named, and several are in the hub.
const SEVERAL: u8 = 0x15;

/// What a request comes to.
pub(super) enum Answer {
    Reply(u8, Vec<u8>),
    /// A reply under another FUNC than the request's.
    ReplyAs(u8, u8, Vec<u8>),
    Silence,
    /// The bus thread has something to do, and will answer.
    Work(Step),
}

use Answer::{Reply, Silence, Work};

pub(super) fn ok() -> Answer {
    Reply(0, Vec::new())
}

fn fail(status: u8) -> Answer {
    Reply(status, Vec::new())
}

fn work(motion: Motion) -> Answer {
    Work(Step::Command(Command::motion(motion)))
}

/// A mask that names one slot.
fn single(slots: SlotSet) -> Option<usize> {
    (slots.unknown_bits() == 0).then(|| slots.single()).flatten().map(|letter| letter.index())
}

impl BoxDevice {
    /// Executes a frame that was heard.
    pub(super) fn dispatch(&mut self, heard: &Heard, plant: &mut Plant) {
        if heard.crc_ok {
            self.host = Some(self.now);
        }
        if self.machine.in_loader(self.now) {
            if heard.crc_ok && !self.manage(heard) {
                self.load(heard);
            }
            return;
        }
        let silent = heard.to == Address::FACTORY_SILENT;
        if !heard.crc_ok {
            if !silent {
                self.say(heard.func, CRC, &[]);
            }
            return;
        }
        if self.manage(heard) {
            return;
        }
        let Some(answer) = self.answer(heard, plant) else {
            if !silent {
                self.say(heard.func, PARAMS, &[]);
            }
            return;
        };
        match answer {
            Reply(status, data) => self.say(heard.func, status, &data),
            Answer::ReplyAs(func, status, data) => self.say(func, status, &data),
            Silence => {}
            Work(step) => self.bus.start(step),
        }
    }

    /// `None` for a function that the firmware does not know.
    fn answer(&mut self, heard: &Heard, plant: &mut Plant) -> Option<Answer> {
        // Each arm reads the request by its declaration; what does not fit it is a wrong length.
        macro_rules! functions {
            ($($module:ident => $method:ident),+ $(,)?) => {
                match heard.func {
                    $(code if code == $module::FUNCTION.code => {
                        match $module::Request::parse(heard.to, &heard.data) {
                            Ok(request) => self.$method(request, plant),
                            // The two are mixed up both ways.
                            Err(_) if code == factory_53::FUNCTION.code => {
                                Answer::ReplyAs(factory_52::FUNCTION.code, PARAMS, Vec::new())
                            }
                            Err(_) => fail(PARAMS),
                        }
                    })+
                    _ => return None,
                }
            };
        }
        Some(functions! {
            create_connect => connect,
            get_rfid => tags,
            get_remain_len => remain,
            set_box_mode => mode,
            get_buffer_state => buffer,
            ctrl_material_motor_action => feeder_by_hand,
            ctrl_connection_motor_action => hub_by_hand,
            get_filament_sensor_state => sensors,
            set_motor_speed => speed,
            get_box_state => box_state,
            led_test => leds,
            get_box_mode => stored_code,
            set_pre_loading => preload,
            measuring_wheel => wheel,
            tighten_up_enable => tighten,
            extrude_process => extrude,
            retrude_process => retrude,
            extrude_process_model2 => extrude_in_one,
            get_version_sn => version,
            get_hardware_status => hardware,
            update_state => update,
            factory_50 => store_code,
            factory_51 => factory_51,
            factory_52 => factory_52,
            factory_53 => factory_53,
            communication_test => test,
            factory_56 => reboot,
        })
    }

    fn connect(&mut self, _: create_connect::Request, _: &mut Plant) -> Answer {
        ok()
    }

    fn tags(&mut self, request: get_rfid::Request, _: &mut Plant) -> Answer {
        let get_rfid::Request::Ask { slots } = request;
        Work(Step::Command(Command::tags(slots.0)))
    }

    fn remain(&mut self, request: get_remain_len::Request, _: &mut Plant) -> Answer {
        let get_remain_len::Request::Ask { slots } = request;
        Work(Step::Command(Command::remain(slots.0)))
    }

    fn mode(&mut self, request: set_box_mode::Request, plant: &mut Plant) -> Answer {
        let set_box_mode::Request::Mode { slot, mode } = request;
        if slot != SlotSet::NONE && single(slot).is_none() {
            return fail(PARAMS);
        }
        if matches!(self.machine.state, BoxState::PRELOADING | BoxState::WRAPPING) {
            return fail(self.machine.wrong_state());
        }
        match (mode, single(slot)) {
            (BoxMode::PRINT, Some(slot)) => {
                self.machine.slot = Some(slot);
                self.machine.error = 0;
                self.machine.state = BoxState::PRINTING;
                let (full, empty) = (plant.printer().full(), plant.printer().empty());
                let path = plant.path_mut(self.machine.config.unit);
                if empty {
                    path.hub = Drive::Forward;
                } else if full {
                    path.hub = Drive::Stop;
                }
                ok()
            }
            (BoxMode::IDLE, _) => {
                self.stop_motors(plant);
                self.machine.idle();
                ok()
            }
            _ => fail(PARAMS),
        }
    }

    /// Stops what the bus thread may have started; the slots' own thread goes on.
    fn stop_motors(&self, plant: &mut Plant) {
        let path = plant.path_mut(self.machine.config.unit);
        path.hub = Drive::Stop;
        for slot in (0..SLOTS).filter(|slot| self.machine.working != Some(*slot)) {
            path.feeders[slot] = Drive::Stop;
        }
    }

    fn buffer(&mut self, _: get_buffer_state::Request, plant: &mut Plant) -> Answer {
        Reply(0, self.machine.tell_buffer(plant.printer()))
    }

    /// Declared, and in the firmware's table of lengths, yet never executed.
    fn feeder_by_hand(&mut self, _: ctrl_material_motor_action::Request, _: &mut Plant) -> Answer {
        fail(PARAMS)
    }

    fn hub_by_hand(
        &mut self,
        request: ctrl_connection_motor_action::Request,
        plant: &mut Plant,
    ) -> Answer {
        if self.machine.state != BoxState::IDLE {
            return Reply(self.machine.wrong_state(), self.machine.refused_by_hand());
        }
        let ctrl_connection_motor_action::Request::Action { action } = request;
        plant.path_mut(self.machine.config.unit).hub = match action {
            MotorAction::STOP => Drive::Stop,
            MotorAction::EXTRUDE => Drive::Forward,
            MotorAction::RETRUDE => Drive::Reverse,
            _ => return fail(PARAMS),
        };
        ok()
    }

    fn sensors(
        &mut self,
        request: get_filament_sensor_state::Request,
        plant: &mut Plant,
    ) -> Answer {
        let get_filament_sensor_state::Request::Ask { sensors } = request;
        let path = plant.path(self.machine.config.unit);
        let seen = |slot: &usize| match sensors {
            Sensors::INLET => path.inlet(*slot),
            _ => path.in_hub(*slot),
        };
        if sensors.0 > Sensors::HUB.0 {
            return fail(PARAMS);
        }
        let slots = SlotSet((0..SLOTS).filter(seen).fold(0, |mask, slot| mask | 1 << slot));
        Reply(0, get_filament_sensor_state::Reply::Slots { slots }.to_vec())
    }

    fn speed(&mut self, request: set_motor_speed::Request, _: &mut Plant) -> Answer {
        let set_motor_speed::Request::Speed { motor, direction } = request;
        if motor.0 > BoxMotor::HUB.0 || direction > 1 {
            return fail(PARAMS);
        }
        Reply(0, set_motor_speed::Reply::Done { zero: 0 }.to_vec())
    }

    fn box_state(&mut self, _: get_box_state::Request, _: &mut Plant) -> Answer {
        let machine = &mut self.machine;
        if machine.changes.iter().any(|change| *change != SlotChange::NONE) {
            let [a, b, c, d] = std::mem::replace(&mut machine.changes, [SlotChange::NONE; SLOTS]);
            // Temperature, humidity, motors and state wait for the next one.
            return Reply(0x30, get_box_state::Reply::Changes { a, b, c, d }.to_vec());
        }
        if machine.state == BoxState::PRINTING {
            return Work(Step::Command(Command::printing()));
        }
        let status = if machine.state == BoxState::ERROR { machine.error } else { 0 };
        Reply(status, machine.tell_state())
    }

    fn leds(&mut self, request: led_test::Request, _: &mut Plant) -> Answer {
        let led_test::Request::Test { slots, .. } = request;
        if single(slots).is_some() { ok() } else { fail(PARAMS) }
    }

    fn stored_code(&mut self, _: get_box_mode::Request, _: &mut Plant) -> Answer {
        let mode = BoxState(self.machine.code);
        Reply(0, get_box_mode::Reply::Code { mode }.to_vec())
    }

    fn preload(&mut self, request: set_pre_loading::Request, plant: &mut Plant) -> Answer {
        let set_pre_loading::Request::Preload { slots, action } = request;
        match action {
            Preload::OFF | Preload::ON => {
                self.machine.config.preload = action == Preload::ON;
                ok()
            }
            Preload::RUN | Preload::TIGHT => {
                if !matches!(self.machine.state, BoxState::IDLE | BoxState::PRELOADING) {
                    return fail(self.machine.wrong_state());
                }
                if !self.any_inlet(plant) {
                    let status = self.machine.no_filament();
                    self.machine.settle(status);
                    return fail(status);
                }
                let slots = slots.0 & SlotSet::ALL.0;
                work(Motion::Run { slots, tags: action == Preload::RUN })
            }
            _ => fail(PARAMS),
        }
    }

    fn any_inlet(&self, plant: &Plant) -> bool {
        let path = plant.path(self.machine.config.unit);
        (0..SLOTS).any(|slot| path.inlet(slot))
    }

    fn wheel(&mut self, request: measuring_wheel::Request, _: &mut Plant) -> Answer {
        let measuring_wheel::Request::Wheel { action } = request;
        match action {
            Wheel::CLEAR => {
                self.machine.clear_odometer();
                ok()
            }
            Wheel::READ => {
                let odometer = F32Be(self.machine.odometer());
                Reply(0, measuring_wheel::Reply::Reading { odometer }.to_vec())
            }
            _ => fail(PARAMS),
        }
    }

    /// What the box would do with it was not seen: in print mode it changes nothing.
    fn tighten(&mut self, request: tighten_up_enable::Request, _: &mut Plant) -> Answer {
        let tighten_up_enable::Request::Tighten { tighten } = request;
        if tighten.0 > Tighten::ONE.0 { fail(PARAMS) } else { ok() }
    }

    fn extrude(&mut self, request: extrude_process::Request, plant: &mut Plant) -> Answer {
        let extrude_process::Request::Stage { slot, stage, param } = request;
        let Some(slot) = single(slot) else { return fail(PARAMS) };
        let machine = &mut self.machine;
        match stage {
            ExtrudeStage::TO_HUB => {
                let state = match machine.state {
                    BoxState::IDLE if machine.working.is_none() => {
                        return work(Motion::ToHub { slot });
                    }
                    // A slot that is being worked shows here even where the state does not.
                    BoxState::IDLE => BoxState::PRELOADING,
                    state => state,
                };
                let status = machine.wrong_state();
                Reply(status, extrude_process::Reply::ToHub { state }.to_vec())
            }
            ExtrudeStage::FEED_UNTIL_STILL => work(Motion::Still),
            ExtrudeStage::HUB_FEED => work(Motion::HubFeed),
            ExtrudeStage::ABORT => {
                machine.idle();
                machine.feed_result = 0;
                self.stop_motors(plant);
                ok()
            }
            ExtrudeStage::FEED_START => {
                // The reply comes first, and whatever state the box is in.
                machine.error = 0;
                machine.feed_result = 0;
                self.say(extrude_process::FUNCTION.code, 0, &[]);
                Work(Step::Feed(Feed::new()))
            }
            ExtrudeStage::FEED_POLL => {
                // What the feed ended with is told once.
                let status = std::mem::take(&mut machine.feed_result);
                let odometer = F32Be(machine.odometer());
                Reply(status, extrude_process::Reply::FeedPoll { odometer }.to_vec())
            }
            ExtrudeStage::FEED_END => work(Motion::Fill),
            ExtrudeStage::PUSH => work(Motion::Push { mm: param }),
            _ => Silence,
        }
    }

    fn retrude(&mut self, request: retrude_process::Request, plant: &mut Plant) -> Answer {
        let retrude_process::Request::Stage { slot: slots, stage } = request;
        let slot = single(slots);
        if slot.is_none() && slots != SlotSet::NONE {
            return fail(PARAMS);
        }
        // The slot is taken over before anything else is looked at, even by a printing box.
        self.machine.slot = slot;
        if !matches!(self.machine.state, BoxState::IDLE | BoxState::PRELOADING) {
            return fail(self.machine.wrong_state());
        }
        let path = plant.path(self.machine.config.unit);
        let hub =
            (0..SLOTS).filter(|slot| path.in_hub(*slot)).fold(0, |mask, slot| mask | 1 << slot);
        let filament = slot.map_or_else(|| self.any_inlet(plant), |slot| path.inlet(slot));
        if !filament {
            let status = self.machine.no_filament();
            self.machine.settle(status);
            return fail(status);
        }
        let slots = if slot.is_some() { slots.0 } else { hub };
        if slots == 0 {
            self.machine.idle();
            return ok();
        }
        match stage {
            // Stage 01 was seen to take them one after the other; that 00, which cannot, is what
            // answers so is inferred: the firmware has this status, and no other place for it.
            RetrudeStage::TO_BUFFER_EMPTY if slots.count_ones() > 1 => {
                self.machine.settle(SEVERAL);
                fail(SEVERAL)
            }
            RetrudeStage::TO_BUFFER_EMPTY => work(Motion::Empty { slots }),
            RetrudeStage::INTO_SLOT => work(Motion::Back { slots }),
            _ => {
                // The firmware forgets to go back.
                self.machine.state = BoxState::WRAPPING;
                fail(PARAMS)
            }
        }
    }

    fn extrude_in_one(
        &mut self,
        request: extrude_process_model2::Request,
        _: &mut Plant,
    ) -> Answer {
        let extrude_process_model2::Request::Slot { slot } = request else { return fail(PARAMS) };
        let Some(slot) = single(slot) else { return fail(PARAMS) };
        if self.machine.state != BoxState::IDLE || self.machine.working.is_some() {
            return fail(self.machine.wrong_state());
        }
        work(Motion::InOne { slot })
    }
}
