"""Where everything is known and wired: settings, plug-ins, processes."""
