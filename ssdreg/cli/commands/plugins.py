"""``ssdreg plugins``: the installed plug-ins, what each brings, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import warnings

import attrs
from ssdreg_runtime.system.tables import text_table

from ssdreg.errors import PluginWarning
from ssdreg.registry.report import FAILED, PARTLY, reports

NAME = "plugins"
SUMMARY = "list the plug-ins, what they bring, and why one of them is not used"

HEADER = ("distribution", "version", "plug-in", "state", "brings")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: argparse.Namespace) -> int:
    """Print the table; the exit status is 1 when a plug-in failed, in whole or in part."""
    with warnings.catch_warnings():
        # the table has everything that these warnings say
        warnings.simplefilter("ignore", PluginWarning)
        plugins = reports()
    if options.json:
        print(json.dumps([attrs.asdict(plugin) for plugin in plugins], indent=2))
    else:
        print(text_table(HEADER, [(plugin.distribution, plugin.version, plugin.plugin, plugin.state,
                                   plugin.brings) for plugin in plugins]))
        for plugin in plugins:
            for reason in plugin.reasons:
                print(f"\n{plugin.distribution}:{plugin.plugin}: {reason}"
                      if plugin.plugin != plugin.distribution else f"\n{plugin.plugin}: {reason}")
    return int(any(plugin.state in (FAILED, PARTLY) for plugin in plugins))
