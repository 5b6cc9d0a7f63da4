//! What is on an emulated bus, from the command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::device::motor::MotorConfig;
use k485_emulator::plant::Port;
use k485_emulator::scene::Scene;
use k485_emulator::{SpoolSpec, World};
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::record::Time;
use k485_proto::slot::Slot;
use serde::Serialize;

use crate::scene;

/// Where a preloaded filament waits, in mm from the inlet: just before the hub's sensor.
const PRELOADED: f64 = 290.0;
/// What is in the slots: material and colour, where the spool has a tag.
const SPOOLS: [(&str, Option<(&str, &str)>); 7] = [
    ("T1A", Some(("PLA", "e72f1d"))),
    ("T1B", Some(("PETG", "2850e0"))),
    ("T1C", None),
    ("T2A", Some(("PLA", "ffffff"))),
    ("T2B", Some(("ABS", "161616"))),
    ("T3A", Some(("TPU", "f4c032"))),
    ("T4A", Some(("ASA", "0a8f4d"))),
];

/// What is on the bus.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Devices")]
pub(crate) struct SetupArgs {
    /// What is on the bus and what happens there (`k485 scene init` writes one, docs/scene.md); by
    /// default two boxes with filament, and the motors 81 to 84
    #[arg(value_name = "SCENE.toml", help_heading = "Arguments")]
    scene: Option<PathBuf>,
    /// How many boxes there are, each with filament in some slots; beside them the motors 81 to 84
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=4))]
    #[arg(conflicts_with = "scene")]
    boxes: u8,
    /// The seed of all chance: the same seed and the same requests give the same bytes
    #[arg(long)]
    seed: Option<u64>,
}

impl Default for SetupArgs {
    fn default() -> SetupArgs {
        SetupArgs { scene: None, boxes: 2, seed: None }
    }
}

/// What will be on a bus.
pub(crate) struct Setup {
    /// The scene, where one was given; its seed is [`Setup::seed`].
    pub(crate) scene: Option<Scene>,
    /// The seed of all chance.
    pub(crate) seed: u64,
    boxes: u8,
}

impl SetupArgs {
    /// The setup of a scene.
    pub(crate) fn of_scene(scene: PathBuf) -> SetupArgs {
        SetupArgs { scene: Some(scene), ..SetupArgs::default() }
    }

    /// The same with this seed, so that what begins anew begins alike; a scene's own stays its own.
    pub(crate) fn with_seed(&self, seed: u64) -> SetupArgs {
        let seed = if self.scene.is_some() { self.seed } else { Some(seed) };
        SetupArgs { seed, ..self.clone() }
    }

    /// Where the scene is from.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.scene.as_deref()
    }

    /// The setup of a scene that somebody wrote; all that is wrong with it is in the error.
    pub(crate) fn with_text(&self, text: &str) -> anyhow::Result<Setup> {
        let scene = Scene::from_toml(text, &K2).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the scene: {}", lines.join("\n"))
        })?;
        Ok(Setup { seed: scene.layout.seed, scene: Some(scene), boxes: self.boxes })
    }

    /// Reads the scene, where there is one.
    pub(crate) fn read(&self) -> anyhow::Result<Setup> {
        let mut scene = self.scene.as_deref().map(|path| scene::load(path, &K2)).transpose()?;
        let seed = match &mut scene {
            Some(scene) => {
                scene.layout.seed = self.seed.unwrap_or(scene.layout.seed);
                scene.layout.seed
            }
            None => self.seed.unwrap_or_else(chance),
        };
        Ok(Setup { scene, seed, boxes: self.boxes })
    }
}

impl Setup {
    /// The world at its start.
    pub(crate) fn world(&self, now: Time) -> anyhow::Result<World> {
        if let Some(scene) = &self.scene {
            return Ok(scene.build(now));
        }
        let seed = self.seed;
        let mut world =
            World::new(now, (1..=self.boxes).map(|number| config(number, now)).collect(), seed);
        for address in 0x81..=0x84 {
            let address = Address(address);
            world.add_motor(MotorConfig { address, ..MotorConfig::default() });
        }
        for (slot, tag) in SPOOLS {
            let slot: Slot = slot.parse()?;
            if slot.device <= self.boxes {
                let (material, colour) = tag.unzip();
                let (material, colour) = (material.map(str::to_owned), colour.map(str::to_owned));
                let spool = SpoolSpec { material, colour, ..SpoolSpec::default() };
                let port = Port { unit: usize::from(slot.device) - 1, slot: slot.letter.index() };
                // Before the boxes' first look: what they find at their start was not put in.
                world.plant_mut().place(port, spool.spool()?, PRELOADED);
            }
        }
        Ok(world)
    }
}

/// Box `number`, with an identity and a serial number of its own, switched on now.
fn config(number: u8, now: Time) -> BoxConfig {
    let mut uniid = BoxConfig::default().uniid;
    uniid[11] = uniid[11].wrapping_add(number);
    let serial = format!("10000000000000000A{number}");
    BoxConfig { power_on: now, uniid, serial, ..BoxConfig::default() }
}

/// A seed that is another one each time.
fn chance() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // So short that JSON readers keep every digit.
    u64::from(time.subsec_nanos())
}

/// A device, as the first line on stdout tells it.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Told {
    /// A box, which has no address at its start.
    Box {
        /// Its number, from 1.
        number: usize,
        /// Its identity, in hex.
        uniid: String,
        /// Its version.
        version: String,
        /// Its serial number.
        serial: String,
        /// Its slots with filament.
        slots: String,
    },
    /// Anything else.
    Device {
        /// Its address.
        address: u8,
    },
}

/// The devices of a world.
pub(crate) fn told(world: &World) -> Vec<Told> {
    let picture = world.state();
    let boxes = picture.boxes.iter().filter_map(|seen| {
        let config = world.filament_box(seen.unit - 1)?.config();
        Some(Told::Box {
            number: seen.unit,
            uniid: config.uniid.iter().map(|byte| format!("{byte:02x}")).collect(),
            version: config.version.map(|digit| char::from(digit).to_string()).join("."),
            serial: config.serial.clone(),
            slots: seen.slots.iter().filter(|slot| slot.inlet).map(|slot| slot.slot).collect(),
        })
    });
    let others = picture.others.iter().map(|address| Told::Device { address: *address });
    boxes.chain(others).collect()
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Box { number, .. } => write!(f, "box {number}"),
            Told::Device { address } => write!(f, "{:02x}", address),
        }
    }
}
