//! `onelook man`: the manual page in roff, every command included.

use clap_mangen::Man;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::declarations;

pub fn run(console: &Console) -> Result<(), Failure> {
    let mut root = declarations();
    root.build();
    let mut page = Vec::new();
    let mut render = || -> std::io::Result<()> {
        Man::new(root.clone()).render(&mut page)?;
        for command in root
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let man = Man::new(command.clone());
            man.render_synopsis_section(&mut page)?;
            man.render_description_section(&mut page)?;
            man.render_options_section(&mut page)?;
        }
        Ok(())
    };
    render().map_err(|error| Failure::failed("file", error.to_string()))?;
    console.print(&String::from_utf8_lossy(&page))
}
