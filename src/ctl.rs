//! `k485 ctl`: looks at an emulator that runs, and changes it, over its HTTP face.

mod args;
mod client;
mod text;

use std::fs;
use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, bail};
use k485_emulator::scene;
use serde_json::{Value, json};

pub(crate) use self::args::Args;
use self::args::{ClockWhat, FaultWhat, What};
use self::client::Client;
use crate::length::Length;

/// How long one request for the next exchanges waits, in seconds.
const WAIT: u32 = 20;
/// How far one request takes the time on at most, in ns.
const HOUR: i64 = 3_600_000_000_000;

/// Does it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read is told before anybody is asked.
    let hand = match &args.what {
        What::Hand { json } => {
            let json: Value = serde_json::from_str(json).context("the hand is no JSON")?;
            scene::hand_from_json(&json).map_err(|why| anyhow::anyhow!("the hand: {why}"))?;
            Some(json)
        }
        what => what.hand().map(|hand| serde_json::to_value(&hand)).transpose()?,
    };
    let client = Client::find(args.url.as_deref(), args.token_file.as_deref())?;
    if let Some(hand) = hand {
        client.post("hands", &hand)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = stdout().lock();
    match &args.what {
        What::State { json } => {
            let state = client.get("state")?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&state)?)?,
                false => text::state(&state, &mut out)?,
            }
        }
        What::Fault(what) => fault(what, &client, &mut out)?,
        What::Scene { file } => {
            let body = match file {
                None => json!({}),
                Some(path) => {
                    let text = fs::read_to_string(path);
                    json!({ "toml": text.with_context(|| path.display().to_string())? })
                }
            };
            client.post("scene", &body)?;
        }
        What::Clock { what } => {
            let clock = match what {
                None => client.get("clock")?,
                Some(ClockWhat::Pause) => client.post("clock", &json!({ "paused": true }))?,
                Some(ClockWhat::Go) => client.post("clock", &json!({ "paused": false }))?,
                Some(ClockWhat::Speed { speed }) => {
                    client.post("clock", &json!({ "speed": speed }))?
                }
                Some(ClockWhat::Step { length: Length(ns) }) => {
                    let mut left = *ns;
                    while left > HOUR {
                        client.post("clock/step", &json!({ "ms": HOUR as f64 / 1e6 }))?;
                        left -= HOUR;
                    }
                    client.post("clock/step", &json!({ "ms": left as f64 / 1e6 }))?
                }
            };
            writeln!(out, "{}", text::clock(&clock))?;
        }
        What::Exchanges { filter, last, follow, json } => {
            let which = (filter.as_deref(), *last, *follow);
            exchanges(&client, which, *json, &mut out)?;
        }
        _ => bail!("nothing is known of this command"),
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn fault(what: &FaultWhat, client: &Client, out: &mut impl Write) -> anyhow::Result<()> {
    match what {
        FaultWhat::Add { rule } => {
            let added = client.post("faults", &json!({ "rule": rule }))?;
            writeln!(out, "{}", added["id"])?;
        }
        FaultWhat::List => {
            let faults = client.get("faults")?;
            for fault in faults["faults"].as_array().into_iter().flatten() {
                let rule = fault["rule"].as_str().unwrap_or_default();
                writeln!(
                    out,
                    "{}  struck {} of {}  {rule}",
                    fault["id"], fault["struck"], fault["met"]
                )?;
            }
        }
        FaultWhat::Remove { id } => client.delete(&format!("faults/{id}"))?,
        FaultWhat::Clear => client.delete("faults")?,
    }
    Ok(())
}

/// What the bus carries, until Ctrl-C where it is followed.
fn exchanges(
    client: &Client,
    (filter, last, follow): (Option<&str>, u16, bool),
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut query = vec![("limit".to_owned(), last.to_string())];
    query.extend(filter.map(|filter| ("filter".to_owned(), filter.to_owned())));
    let mut after: Option<u64> = None;
    loop {
        let mut query = query.clone();
        if let Some(after) = after {
            query.push(("after".to_owned(), after.to_string()));
            query.push(("wait".to_owned(), WAIT.to_string()));
            query[0].1 = "1000".to_owned();
        }
        let page = client.exchanges(&query)?;
        if after.is_some() && page.missed > 0 {
            eprintln!("k485: {} went by unseen", page.missed);
        }
        for exchange in &page.exchanges {
            match json {
                true => writeln!(out, "{exchange}")?,
                false => text::exchange(exchange.get(), out)?,
            }
        }
        out.flush()?;
        after = Some(page.next);
        if !follow {
            return Ok(());
        }
    }
}
