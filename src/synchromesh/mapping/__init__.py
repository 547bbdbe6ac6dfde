"""From a site's payload to canonical events: adapters as data, with compiled expressions, code lists, units and time zones."""
