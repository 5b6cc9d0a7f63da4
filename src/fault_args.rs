//! `--fault` and `--chaos`: what spoils a bus on purpose.

use anyhow::Context;
use k485_link::fault::{self, Faults, Rule};
use k485_proto::dialect::Dialect;

/// Rules that spoil what passes; for commands whose bus is an emulated or a tapped one.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FaultArgs {
    /// Spoil what passes by a rule, as in 'drop if func==0x10 p=0.1 after=3' (docs/faults.md); may
    /// be given several times
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<String>,
    /// Faults of all kinds by chance: 1 is a healthy bus, 5 one that nobody can rely on
    #[arg(long, value_name = "LEVEL")]
    #[arg(value_parser = clap::value_parser!(u8).range(level(fault::CALMEST)..=level(fault::WILDEST)))]
    chaos: Option<u8>,
}

fn level(level: u8) -> i64 {
    level.into()
}

impl FaultArgs {
    /// The rules: those of `--fault` in their order, then those of `--chaos`.
    pub(crate) fn rules(&self, dialect: &'static Dialect) -> anyhow::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for text in &self.faults {
            let rule = Rule::parse(text, dialect);
            let rule = rule.with_context(|| format!("--fault '{text}'"))?;
            for hint in rule.when.iter().flat_map(|filter| filter.hints()) {
                eprintln!("k485: --fault '{text}': {}", hint.text);
            }
            rules.push(rule);
        }
        rules.extend(fault::chaos(self.chaos.unwrap_or(0), dialect));
        Ok(rules)
    }
}

/// What each rule did, a line each, for the end of a run.
pub(crate) fn report(faults: &Faults) -> impl Iterator<Item = String> {
    let line = |(rule, counts): (&Rule, fault::Counts)| {
        format!("fault '{rule}': struck {} of {}", counts.struck, counts.met)
    };
    faults.counts().map(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use k485_proto::dialect::K2;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        faults: FaultArgs,
    }

    fn args(words: &[&str]) -> Result<FaultArgs, clap::Error> {
        Cli::try_parse_from([&["k485"], words].concat()).map(|cli| cli.faults)
    }

    #[test]
    fn rules_come_before_chaos() {
        let args = args(&["--fault", "drop p=0.5", "--chaos", "2", "--fault", "echo"]).unwrap();
        let rules = args.rules(&K2).unwrap();
        let texts: Vec<String> = rules.iter().take(3).map(Rule::to_string).collect();
        assert_eq!(texts, ["drop p=0.5", "echo", "delay 5ms jitter=20ms dir=response p=0.01"]);
        assert_eq!(rules.len(), 2 + fault::chaos_text(2).count());
    }

    #[test]
    fn what_is_wrong_names_the_rule() {
        let error = args(&["--fault", "dropp"]).unwrap().rules(&K2).unwrap_err();
        let said = format!("{error:#}");
        assert_eq!(said, "--fault 'dropp': no kind of fault is named \"dropp\"; did you mean drop?");
        for level in ["0", "6", "x"] {
            assert!(args(&["--chaos", level]).is_err(), "{level}");
        }
        assert!(args(&[]).unwrap().rules(&K2).unwrap().is_empty());
    }
}
