"""The Tryton module `synchromesh`: every posting once, in one transaction, under a unique key.

Loaded by trytond (series 8.2) as the module named `synchromesh`; `tryton.cfg` says what it registers. It needs this package installed
beside trytond and is activated with `trytond-admin -u synchromesh --activate-dependencies`.
"""
