use std::path::PathBuf;
use k485_link::*;
#[derive(Debug, Clone)]
pub(crate) struct PortWord(PathBuf);
impl std::str::FromStr for PortWord { type Err=String; fn from_str(s:&str)->Result<Self,String>{Ok(PortWord(s.into()))}}
#[derive(Debug, clap::Args)]
pub(crate) struct LineArgs {}
pub(crate) fn named(text:&str)->Result<(String,PortWord),String>{ let (a,b)=text.split_once('=').ok_or("NAME=PORT")?; Ok((a.into(),PortWord(b.into())))}
pub(crate) fn listen(w:&PortWord,baud:u32,_:&LineArgs,clock:Clock)->anyhow::Result<Box<dyn Hear>>{
 let l=Listener::open(&w.0,baud,clock)?; eprintln!("listening on {} at {} baud, read-only, ; Ctrl-C ends",w.0.display(),l.baud()); Ok(Box::new(l)) }
