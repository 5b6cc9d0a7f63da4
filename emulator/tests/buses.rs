//! Buses in real time, several in one process, reached from inside it.

use std::time::Duration;

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::serve::Server;
use k485_emulator::{Bus, BusConfig, Hand, World};
use k485_link::Clock;
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{LocalSet, spawn_local};

/// Generous: the machine may be busy with other things.
const LONG: Duration = Duration::from_secs(60);

fn server(serial: &str, config: BusConfig) -> Server {
    let clock = Clock::new();
    let device =
        BoxConfig { address: Some(Address(1)), serial: serial.to_owned(), ..BoxConfig::default() };
    let world = World::new(clock.now(), vec![device], 1);
    Server::new(Bus::new(world, config), clock)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn sixteen_buses_share_one_runtime_and_each_answers_for_itself() {
    let ask = Frame::to_vec(Address(1), Status(0xff), 0x14, &[]).unwrap();
    LocalSet::new().block_on(&runtime(), async {
        let mut clients = Vec::new();
        for number in 0..16 {
            let serial = format!("BUS{number:02}");
            let mut server = server(&serial, BusConfig::default());
            let (client, handle) = (server.add_duplex(), server.handle());
            let ran = spawn_local(async move { server.run().await });
            clients.push((serial, client, handle, ran));
        }
        for _ in 0..3 {
            for (_, client, ..) in &mut clients {
                client.write_all(&ask).await.unwrap();
            }
            for (serial, client, ..) in &mut clients {
                // Version and serial number: 3 and 19 characters.
                let mut reply = [0; 28];
                tokio::time::timeout(LONG, client.read_exact(&mut reply)).await.unwrap().unwrap();
                assert!(reply[8..].starts_with(serial.as_bytes()), "{serial}: {reply:02x?}");
            }
        }
        for (_, _, handle, ran) in clients {
            handle.stop();
            ran.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_handle_acts_and_looks_from_another_thread() {
    let mut server = server("A", BusConfig { fast: true, ..BusConfig::default() });
    let handle = server.handle();
    let other = std::thread::spawn(move || {
        let empty = handle.picture().unwrap();
        let insert = Hand::Insert { slot: "T1B".parse().unwrap(), spool: Default::default() };
        handle.act(insert).unwrap().unwrap();
        let filled = handle.picture().unwrap();
        let wrong = handle.act(Hand::Unplug { unit: 7 }).unwrap();
        handle.stop();
        (empty, filled, wrong)
    });
    server.run_here().unwrap();
    let (empty, filled, wrong) = other.join().unwrap();
    assert!(!empty.boxes[0].slots[1].inlet && filled.boxes[0].slots[1].inlet);
    assert_eq!(wrong.unwrap_err().to_string(), "there is no box 7: this bus has 1");
}

/// A client that says more than the wire takes fills no memory, and the bus goes on.
#[test]
fn who_says_too_much_waits() {
    LocalSet::new().block_on(&runtime(), async {
        let mut server = server("A", BusConfig { baud: 9600, ..BusConfig::default() });
        let (mut client, handle) = (server.add_duplex(), server.handle());
        let ran = spawn_local(async move {
            server.run().await.unwrap();
            server.tally()
        });
        let noise = vec![0x55; 4096];
        // 64 KiB is what the stream holds; at 9,600 baud a byte takes a millisecond.
        let flood = async {
            for _ in 0..256 {
                client.write_all(&noise).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(2), flood).await.is_err());
        handle.stop();
        let tally = ran.await.unwrap();
        assert!(tally.asked < 128 * 1024, "{tally:?}");
    });
}
