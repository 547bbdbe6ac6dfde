"""Fills a new Tryton database with what a plant needs first: company, currency, warehouse, integration user.

Runs in a process of its own, since trytond keeps its configuration for the whole process:
`python -m synchromesh.connectors.tryton.seed CONFIG DATABASE COMPANY LOGIN`, with the user's password in standard input.
"""

from __future__ import annotations

import sys

from proteus import Model, Wizard, config
from trytond.modules.currency.tests.tools import get_currency

GROUPS = ("Stock", "Stock Administration", "Stock Cancellation", "Production", "Production Administration", "Product Administration")


def seed(settings: str, database: str, company: str, login: str, password: str) -> None:
    """Create the company and the integration user; the warehouse is Tryton's own first one."""
    connection = config.set_trytond(database, user="admin", config_file=settings)
    party = Model.get("party.party")(name=company)
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party = party
    wizard.form.currency = get_currency("EUR")
    wizard.execute("add")
    user_model = Model.get("res.user")
    connection._context = user_model.get_preferences(True, {})
    own = Model.get("company.company").find([])[0]
    groups = Model.get("res.group").find([("name", "in", [*GROUPS, "Synchromesh Posting"])])
    user = user_model(name="Synchromesh", login=login, password=password)
    user.companies.append(own)
    user.company = own
    for group in groups:
        user.groups.append(group)
    user.save()
    warehouse = Model.get("stock.location").find([("type", "=", "warehouse")])[0]
    if not warehouse.lost_found_location:
        warehouse.lost_found_location = Model.get("stock.location").find([("type", "=", "lost_found")])[0]
        warehouse.save()


if __name__ == "__main__":
    settings_file, database_name, company_name, login_name = sys.argv[1:]
    seed(settings_file, database_name, company_name, login_name, sys.stdin.readline().rstrip("\n"))
