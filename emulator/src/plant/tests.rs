//! The physics, each cause with its effect.

use k485_proto::record::Time;

use super::{Drive, Plant, Port, SensorFault, Spool};

const A: Port = Port { unit: 0, slot: 0 };
const B: Port = Port { unit: 0, slot: 1 };

fn after(plant: &mut Plant, ms: i64) {
    let to = Time(plant.now().0 + ms * Time::MILLISECOND);
    plant.advance(to);
}

fn loaded(tip: f64) -> Plant {
    let mut plant = Plant::new(Time(0), 1);
    plant.place(A, Spool::default(), tip);
    plant
}

fn tip(plant: &Plant, port: Port) -> f64 {
    plant.path(port.unit).pieces(port.slot)[0].tip
}

#[test]
fn a_feeder_carries_filament_to_the_hub_and_the_hub_on_to_the_buffer() {
    let mut plant = Plant::new(Time(0), 1);
    plant.insert(A, Spool::default());
    assert!(plant.path(0).inlet(0));
    assert!(!plant.path(0).in_hub(0));
    plant.path_mut(0).feeders[0] = Drive::Forward;
    after(&mut plant, 2_200);
    assert!(plant.path(0).in_hub(0));
    assert!((tip(&plant, A) - 335.0).abs() < 0.2);
    plant.path_mut(0).feeders[0] = Drive::Stop;
    plant.path_mut(0).hub = Drive::Forward;
    after(&mut plant, 20_000);
    assert_eq!(tip(&plant, A), 1500.0);
    assert!(plant.printer().full());
    assert!(plant.toolhead());
    let wheel = plant.path(0).wheel();
    after(&mut plant, 1_000);
    assert_eq!(plant.path(0).wheel(), wheel, "nothing moves against a full buffer");
    assert!((wheel - (1175.0 + 20.0)).abs() < 0.4, "{wheel}");
}

#[test]
fn the_extruder_empties_the_buffer_and_then_pulls_from_the_box() {
    let mut plant = loaded(1500.0);
    plant.printer_mut().slack = 10.0;
    plant.printer_mut().speed = 6.0;
    after(&mut plant, 1_000);
    assert!((plant.printer().slack - 4.0).abs() < 1e-6);
    assert_eq!(plant.path(0).wheel(), 0.0);
    after(&mut plant, 2_000);
    assert!(plant.printer().empty());
    assert!((plant.path(0).wheel() - 8.0).abs() < 1e-6);
    plant.printer_mut().speed = 0.0;
    plant.extrude(-3.0);
    assert!((plant.printer().slack - 3.0).abs() < 1e-6, "a retraction goes into the buffer");
}

#[test]
fn a_cut_leaves_a_stub_that_only_the_extruder_moves() {
    let mut plant = loaded(1500.0);
    plant.extrude(30.0);
    plant.cut();
    assert_eq!(tip(&plant, A), 1475.0);
    assert!(plant.toolhead());
    plant.path_mut(0).hub = Drive::Reverse;
    after(&mut plant, 1_000);
    plant.path_mut(0).hub = Drive::Stop;
    assert!(!plant.toolhead(), "the stub is behind the sensor");
    plant.path_mut(0).hub = Drive::Forward;
    after(&mut plant, 3_000);
    assert_eq!(tip(&plant, A), 1475.0, "the stub is in the way");
    assert!(plant.printer().full());
    plant.path_mut(0).hub = Drive::Stop;
    plant.extrude(40.0);
    assert_eq!(plant.printer().stub, None);
    assert!(tip(&plant, A) > 1475.0, "slack follows the stub");
}

#[test]
fn what_was_cut_off_comes_back_as_far_as_the_gears_hold_it() {
    let mut plant = loaded(1500.0);
    plant.extrude(30.0);
    plant.cut();
    let (before, wheel) = (tip(&plant, A), plant.path(0).wheel());
    plant.extrude(-20.0);
    // It pushes back what lies before it.
    assert_eq!(plant.printer().stub, Some(45.0));
    assert_eq!((tip(&plant, A), plant.path(0).wheel()), (before - 20.0, wheel - 20.0));
    plant.extrude(-50.0);
    assert_eq!((plant.printer().stub, plant.printer().beyond), (Some(55.0), 0.0));
    assert_eq!(tip(&plant, A), before - 30.0);
    plant.extrude(10.0);
    assert_eq!((plant.printer().stub, plant.printer().beyond), (Some(45.0), 10.0));
}

#[test]
fn a_buffer_that_is_filled_while_it_is_drawn_from_is_full_when_it_is_looked_at() {
    let mut plant = loaded(1500.0);
    plant.printer_mut().slack = 10.0;
    plant.printer_mut().speed = 20.0;
    plant.path_mut(0).hub = Drive::Forward;
    after(&mut plant, 200);
    assert!(plant.printer().full());
}

#[test]
fn a_buffer_without_filament_is_empty() {
    let mut plant = loaded(1500.0);
    plant.printer_mut().slack = 10.0;
    plant.relax_buffer();
    assert_eq!(plant.printer().slack, 10.0, "filament holds it");
    plant.pull_out(A);
    plant.printer_mut().held = true;
    plant.relax_buffer();
    assert_eq!(plant.printer().slack, 10.0, "something holds it");
    plant.printer_mut().held = false;
    plant.relax_buffer();
    assert!(plant.printer().empty());
}

#[test]
fn two_filaments_never_share_the_tube_behind_the_joint() {
    let mut plant = loaded(1500.0);
    plant.place(B, Spool::default(), 1000.0);
    plant.path_mut(0).stuck[0] = true;
    plant.path_mut(0).hub = Drive::Forward;
    after(&mut plant, 10_000);
    assert_eq!(tip(&plant, B), 1350.0);
}

#[test]
fn what_breaks_is_pushed_on_by_what_follows() {
    let mut plant = loaded(900.0);
    plant.break_at(A, 600.0);
    assert_eq!(plant.path(0).pieces(0).len(), 2);
    plant.pull_out(A);
    assert_eq!(plant.path(0).pieces(0).len(), 1, "the far piece stays");
    assert!(!plant.path(0).inlet(0));
    plant.place(B, Spool::default(), 100.0);
    plant.insert(A, Spool::default());
    plant.path_mut(0).feeders[0] = Drive::Forward;
    after(&mut plant, 5_000);
    let pieces = plant.path(0).pieces(0);
    assert!(pieces[1].tip > 1000.0, "{pieces:?}");
    assert!(pieces[0].tip <= pieces[1].tail + 1e-6);
}

#[test]
fn faults_show() {
    let mut plant = loaded(400.0);
    plant.path_mut(0).hub_faults[0] = SensorFault::Dark;
    plant.path_mut(0).inlet_faults[1] = SensorFault::Lit;
    assert!(!plant.path(0).in_hub(0));
    assert!(plant.path(0).inlet(1));
    plant.path_mut(0).jam[0] = Some(700.0);
    plant.path_mut(0).hub = Drive::Forward;
    after(&mut plant, 5_000);
    assert_eq!(tip(&plant, A), 700.0);
    plant.path_mut(0).jam[0] = None;
    plant.path_mut(0).hub_blocked = true;
    after(&mut plant, 1_000);
    assert_eq!(tip(&plant, A), 700.0);
    assert!(plant.path(0).hub_stands());
}

#[test]
fn drawn_out_of_the_inlet_it_falls_out() {
    let mut plant = loaded(30.0);
    plant.path_mut(0).feeders[0] = Drive::Reverse;
    after(&mut plant, 300);
    assert!(!plant.path(0).inlet(0));
    assert!(plant.path(0).pieces(0).is_empty());
    assert!(plant.path(0).spool(0).is_none());
}

#[test]
fn filament_that_ends_leaves_the_inlet_and_is_used_up() {
    let mut plant = loaded(1500.0);
    plant.run_out(A, 10.0);
    plant.printer_mut().speed = 10.0;
    after(&mut plant, 1_200);
    assert!(!plant.path(0).inlet(0));
    assert!(plant.path(0).in_hub(0));
    after(&mut plant, 200_000);
    assert!(plant.path(0).pieces(0).is_empty());
}
