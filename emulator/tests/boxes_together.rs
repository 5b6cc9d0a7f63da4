//! Boxes that share a bus and a plant.

use k485_emulator::device::boxes::{BoxConfig, BoxDevice};
use k485_emulator::device::{Device, Said, advance_all};
use k485_emulator::plant::{Plant, Port, Spool};
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::record::Time;
use k485_proto::status::Status;

struct Bench {
    plant: Plant,
    boxes: Vec<BoxDevice>,
    now: Time,
}

impl Bench {
    fn new(addresses: &[Option<u8>]) -> Bench {
        let boxes = addresses.iter().enumerate().map(|(unit, address)| {
            let uniid = [unit as u8; 12];
            let address = address.map(Address);
            BoxDevice::new(BoxConfig { unit, uniid, address, ..BoxConfig::default() }, unit as u64)
        });
        let plant = Plant::new(Time(0), addresses.len());
        Bench { plant, boxes: boxes.collect(), now: Time(0) }
    }

    fn wait(&mut self, ms: i64) -> Vec<(usize, Said)> {
        self.now = Time(self.now.0 + ms * Time::MILLISECOND);
        let mut devices: Vec<&mut dyn Device> =
            self.boxes.iter_mut().map(|device| device as &mut dyn Device).collect();
        advance_all(&mut devices, self.now, &mut self.plant);
        let said = self.boxes.iter_mut().enumerate();
        said.flat_map(|(unit, device)| device.said().into_iter().map(move |said| (unit, said)))
            .collect()
    }

    fn ask(
        &mut self,
        address: u8,
        status: u8,
        func: u8,
        data: &[u8],
        ms: i64,
    ) -> Vec<(usize, Said)> {
        let mut bytes = Vec::new();
        Frame::emit(Address(address), Status(status), func, data, &mut bytes).unwrap();
        for device in &mut self.boxes {
            device.heard(&bytes, self.now, &mut self.plant);
        }
        self.wait(ms)
    }
}

#[test]
fn unassigned_boxes_wait_each_for_a_time_of_its_own() {
    let mut bench = Bench::new(&[None, None, None]);
    let said = bench.ask(0xfe, 0, 0xa1, &[0xfe, 0xfe], 1_000);
    assert_eq!(said.len(), 3);
    let mut times: Vec<Time> = said.iter().map(|(_, said)| said.at).collect();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), 3);
    // One takes an address; the others still listen to FE.
    let uniid = [1_u8; 12];
    let said = bench.ask(0xfe, 0, 0xa0, &[&[1], &uniid[..]].concat(), 10);
    assert!(said.iter().all(|(unit, _)| *unit == 1));
    assert_eq!(bench.boxes[1].address(), Address(1));
    let said = bench.ask(0xfe, 0, 0xa1, &[0xfe, 0xfe], 1_000);
    assert_eq!(said.iter().map(|(unit, _)| *unit).filter(|unit| *unit == 1).count(), 0);
    assert_eq!(said.len(), 2);
}

#[test]
fn the_buffer_that_one_box_fills_is_full_for_all() {
    let mut bench = Bench::new(&[Some(1), Some(2)]);
    let port = Port { unit: 0, slot: 2 };
    bench.plant.place(port, Spool::default(), 1_500.0);
    bench.plant.place(Port { unit: 1, slot: 0 }, Spool::default(), 1_000.0);
    let said = bench.ask(1, 0xff, 0x10, &[4, 6, 0], 3_100);
    assert_eq!(said[0].1.bytes[3], 0);
    for address in [1, 2] {
        let said = bench.ask(address, 0xff, 0x05, &[], 10);
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].1.bytes[5], 1, "full");
    }
    // The second box's filament cannot pass the first one's.
    let said = bench.ask(2, 0xff, 0x10, &[1, 1, 0], 6_000);
    assert_eq!(said[0].1.bytes[3], 0);
    let joint = bench.plant.path(1).geometry.joint;
    assert_eq!(bench.plant.path(1).pieces(0)[0].tip, joint);
}
