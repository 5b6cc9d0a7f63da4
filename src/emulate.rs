//! `k485 emulate`: a bus without hardware, at pseudo-terminals, TCP and, on purpose, serial ports.

mod control;
pub(crate) mod embedded;
mod endpoints;
mod setup;
mod tap;
mod toolhead;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use k485_emulator::scene::Scene;
use k485_emulator::serve::{Handle, Server};
use k485_emulator::{Auto, AutoConfig, Bus, BusConfig, DeviceId, World};
use k485_link::Clock;
use k485_link::fault::Faults;
use k485_proto::dialect::K2;
use k485_proto::record::Time;
use serde::Serialize;

use self::control::Control;
use self::endpoints::Endpoints;
use self::tap::Tap;
use crate::face::{self, Face};
use crate::fault_args::{self, FaultArgs};

/// Keeps the chance of faults apart from that of the devices.
const FAULTS: u64 = 0x4641;

/// What `k485 emulate` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Boxes answer as their firmware 1.1.3 does, motors, belt modules and rack as the vendor's host wants \
them answered. The first line on stdout is JSON: where the bus is, its speed, its devices. Ctrl-C ends \
it, removes the link files and says what the bus carried.

Without an endpoint there is one pseudo-terminal, linked as k485 in $XDG_RUNTIME_DIR, or else in \
/tmp/k485-UID.

Examples:
  k485 emulate                                two boxes at a pseudo-terminal
  k485 emulate --auto --toolhead-file /tmp/toolhead
  k485 emulate --boxes 4 --pty /tmp/cfs --tcp 127.0.0.1:4850
  k485 emulate --pty /tmp/host --pty /tmp/sniffer &  k485 sniff /tmp/sniffer
  k485 scene init > bus.toml && k485 emulate bus.toml
  k485 scene learn bus.pcapng -o bus.toml && k485 emulate bus.toml --from-request
  k485 emulate --fault 'drop if func==0x10 p=0.1' --chaos 2
  k485 emulate --control                      with a page to look at and to jam slots from
  k485 emulate --transmit /dev/ttyUSB0        boxes for a printer that has none

Exit codes: 0 ended by Ctrl-C or --until-eof; 1 it failed; 2 wrong command line; 6 refused: a device \
answers on the serial port already.")]
pub(crate) struct Args {
    /// A pseudo-terminal, with a link to it at this path; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Endpoints")]
    pty: Vec<PathBuf>,
    /// Listen for TCP clients; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Endpoints")]
    tcp: Vec<SocketAddr>,
    /// Play the devices on a serial port, after listening there for 10 s; refused if one of their
    /// addresses answers already; may be given several times
    #[arg(long, value_name = "PORT", help_heading = "Endpoints")]
    transmit: Vec<PathBuf>,
    #[command(flatten)]
    setup: setup::SetupArgs,
    /// Count the scene's times from the first request on the bus, not from the start: for the replay
    /// of a capture from which the scene was learned
    #[arg(long, requires = "scene")]
    from_request: bool,
    #[command(flatten)]
    line: LineArgs,
    #[command(flatten, next_help_heading = "Faults")]
    faults: FaultArgs,
    /// Play extruder and cutter from what the bus carries, so that a host without a printer
    /// finishes loads and unloads
    #[arg(long, help_heading = "Printer")]
    auto: bool,
    /// Run this with 1 or 0 when the toolhead's filament sensor changes
    #[arg(long, value_name = "PROGRAM", help_heading = "Printer")]
    on_toolhead: Option<PathBuf>,
    /// Keep 1 or 0 in this file, as the toolhead's filament sensor is
    #[arg(long, value_name = "PATH", help_heading = "Printer")]
    toolhead_file: Option<PathBuf>,
    /// End when stdin does, as with Ctrl-C: for programs that start this one and may die
    #[arg(long)]
    until_eof: bool,
    #[command(flatten, next_help_heading = "Control")]
    control: ControlArgs,
}

/// The HTTP face, and the bus's time.
#[derive(Debug, clap::Args)]
struct ControlArgs {
    /// Show the bus on a page and let programs change it, over HTTP (docs/control.md); at
    /// 127.0.0.1:4850 or the next free port where none is given
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "")]
    control: Option<face::Place>,
    /// Keep the token that changes need in this file; it is made, with mode 0600, where it is not
    /// there
    #[arg(long, value_name = "PATH", requires = "control")]
    token_file: Option<PathBuf>,
    /// Let the time stand still but for steps and for requests, each of which takes it on to its
    /// reply: hours of bus in seconds, for test suites
    #[arg(long = "virtual", requires = "control")]
    is_virtual: bool,
}

/// How the wires behave.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Wires")]
pub(crate) struct LineArgs {
    /// The bus's speed, by default 230400: bytes take their time at it, and a client at another one
    /// hears garbage
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: Option<u32>,
    /// From a device's decision to answer to its first byte, in ms; 1.5 by default
    #[arg(long, value_name = "MS", value_parser = turnaround)]
    turnaround: Option<f64>,
    /// Answer at once: neither turnaround nor byte times
    #[arg(long)]
    fast: bool,
    /// Clients hear what they say themselves, as with some adapters
    #[arg(long)]
    echo: bool,
}

fn turnaround(text: &str) -> Result<f64, String> {
    let ms = text.parse().ok().filter(|ms| (0.0..=1000.0).contains(ms));
    ms.ok_or_else(|| "write milliseconds from 0 to 1000".to_owned())
}

impl LineArgs {
    /// The scene's line, where there is a scene, but for what was given.
    fn config(&self, scene: Option<&Scene>) -> BusConfig {
        let scene = scene.map_or_else(BusConfig::default, Scene::bus);
        BusConfig {
            baud: self.baud.unwrap_or(scene.baud),
            turnaround: self.turnaround.map_or(scene.turnaround, |ms| (ms * 1e6) as i64),
            fast: self.fast || scene.fast,
            echo: self.echo || scene.echo,
        }
    }
}

/// The first line on stdout.
#[derive(Debug, Serialize)]
struct Told {
    endpoints: Vec<endpoints::Told>,
    baud: u32,
    fast: bool,
    echo: bool,
    seed: u64,
    devices: Vec<setup::Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<face::Told>,
}

/// Plays the bus until Ctrl-C.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What is wrong with the command line ends it before anything is opened.
    let setup = args.setup.read()?;
    let config = args.line.config(setup.scene.as_ref());
    let mut rules = setup.scene.as_ref().map(|scene| scene.rules().to_vec()).unwrap_or_default();
    let given = args.faults.rules(&K2)?;
    rules.extend(given.iter().cloned());
    let played = played(&setup.world(Time(0))?);
    let serial = endpoints::claim(&args.transmit, config.baud, &played)?;
    let serial = match serial {
        Ok(serial) => serial,
        Err(refusal) => {
            eprintln!("k485: {refusal}");
            return Ok(ExitCode::from(crate::speak::REFUSED));
        }
    };
    let clock = Clock::new();
    let began = clock.now();
    let world = setup.world(began)?;
    let devices = setup::told(&world);
    let mut bus = Bus::new(world, config.clone());
    if let Some(scene) = &setup.scene {
        let timeline = scene.timeline(began);
        let timeline = if args.from_request { timeline.from_first_request() } else { timeline };
        bus = bus.with_timeline(timeline, scene.dialect());
    }
    if !rules.is_empty() || args.control.control.is_some() {
        // Apart from the devices' chance.
        bus = bus.with_faults(Faults::new(rules, &K2, setup.seed ^ FAULTS));
    }
    if args.auto {
        bus = bus.with_auto(Auto::new(AutoConfig::default()));
    }
    let mut server = Server::new(bus, clock);
    if args.control.is_virtual {
        server.set_virtual();
    }
    let endpoints = Endpoints { pty: &args.pty, tcp: &args.tcp, serial }.open(&mut server)?;
    let control = args.control.control.map(|place| {
        let feed = face::feed();
        let tap = Tap::start(&mut server, Arc::clone(&feed), &K2, "emu")?;
        let scene = control::scene_name(&setup, args.setup.path());
        let control = Control {
            handle: server.handle(),
            progress: tap.progress(),
            endpoints: endpoints.clone(),
            setup: args.setup.with_seed(setup.seed),
            line: args.line.clone(),
            from_request: args.from_request,
            rules: given,
            baud: config.baud,
            scene: Mutex::new(scene),
        };
        let token_file = args.control.token_file.as_deref();
        let face = Face::open(place, token_file, Arc::new(control), &feed, &K2)?;
        anyhow::Ok((face, tap))
    });
    let control = control.transpose()?;
    let _file = args.toolhead_file.as_deref().map(toolhead::ToolheadFile::new).transpose()?;
    if let Some(file) = &_file {
        let keep = file.keeper();
        server.on_toolhead(keep);
    }
    if let Some(program) = &args.on_toolhead {
        let mut run = toolhead::runner(program)?;
        let mut first = true;
        server.on_toolhead(move |filament| {
            if !std::mem::take(&mut first) {
                run(filament);
            }
        });
    }
    let handle = server.handle();
    ctrlc::set_handler(move || handle.stop()).context("cannot watch for Ctrl-C")?;
    if args.until_eof {
        stop_at_eof(server.handle())?;
    }
    let told = Told {
        endpoints,
        baud: config.baud,
        fast: config.fast,
        echo: config.echo,
        seed: setup.seed,
        devices,
        control: control.as_ref().map(|(face, _)| face.told()),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(&told)?)?;
    stdout.flush()?;
    drop(stdout);
    eprintln!("k485: {}; Ctrl-C ends", told.summary());
    if let Some((face, _)) = &control {
        eprintln!("k485: page and control: {}", face.page());
    }
    let ran = server.run_here();
    eprintln!("k485: {}", carried(&server, clock.now().since(began)));
    for line in server.bus().faults().into_iter().flat_map(fault_args::report) {
        eprintln!("k485: {line}");
    }
    // Whoever asks now is told that it has ended; then the link files are removed.
    drop(control);
    drop(server);
    ran?;
    Ok(ExitCode::SUCCESS)
}

impl Told {
    fn summary(&self) -> String {
        let places: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        let devices: Vec<String> = self.devices.iter().map(ToString::to_string).collect();
        format!("a bus with {} at {}", devices.join(", "), places.join(" and "))
    }
}

/// Ends the bus when whoever holds the other end of stdin lets it go.
fn stop_at_eof(handle: Handle) -> anyhow::Result<()> {
    let wait = move || {
        // A stdin that cannot be read says no more than one that ends.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        handle.stop();
    };
    let thread = std::thread::Builder::new().name("until-eof".to_owned()).spawn(wait);
    thread.context("cannot watch stdin")?;
    Ok(())
}

/// The addresses that the devices have or can be given.
fn played(world: &World) -> Vec<u8> {
    let address = |id: DeviceId| world.address(id).map(|address| address.0);
    let mut played: Vec<u8> = world.devices().filter_map(address).collect();
    // A box takes any of the boxes' addresses.
    if world.filament_box(0).is_some() {
        played.extend(1..=4);
    }
    played.sort_unstable();
    played.dedup();
    played
}

fn carried(server: &Server, nanos: i64) -> String {
    let tally = server.tally();
    let time = Duration::from_nanos(nanos.unsigned_abs());
    format!(
        "{:.1} s; clients sent {} bytes, devices answered {} times with {} bytes; {} collisions",
        time.as_secs_f64(),
        tally.asked,
        tally.answers,
        tally.answered,
        tally.collisions
    )
}
