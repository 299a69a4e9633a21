# Variables of shells that tasks open; n3x opens them on the terminal that it was started from.

OE_TERMINAL ?= "auto"
OE_TERMINAL[type] = "choice"
OE_TERMINAL[choices] = "auto none"
OE_TERMINAL_EXPORTS += "EXTRA_OEMAKE CACHED_CONFIGUREVARS CONFIGUREOPTS EXTRA_OECONF"
OE_TERMINAL_EXPORTS[type] = "list"
XAUTHORITY ?= "${HOME}/.Xauthority"
SHELL ?= "bash"
