"""The units of UN/CEFACT Recommendation 20 that factories use: code, name, dimension, and the exact factor to the dimension's base.

The recommendation prints many factors rounded ("0,764 555 m³"); here they are the exact definitions that the rounded ones stand for (the
inch is 0.0254 m, the pound 0.45359237 kg, the US gallon 231 cubic inches). Codes are text, also those that look like numbers ("2P", "4H").
Units of packaging without a fixed content (set, pack, pallet) are each a dimension of their own: only an item can say what they hold.
Temperatures have an offset, not a factor, and are never quantities of goods, so they are not here.
"""

from __future__ import annotations

from typing import Final

CODES: Final = """
EA|each|count|1
C62|one|count|1
H87|piece|count|1
NAR|number of articles|count|1
NIU|number of international units|international unit|1
PR|pair|count|2
P5|five pack|count|5
TP|ten pack|count|10
TPR|ten pair|count|20
DZN|dozen|count|12
DPR|dozen pair|count|24
SCO|score|count|20
CEN|hundred|count|100
GRO|gross|count|144
GGR|great gross|count|1728
MIL|thousand|count|1000
T3|thousand piece|count|1000
MIO|million|count|1000000
P1|percent|ratio|0.01
SET|set|set|1
DZP|dozen pack|pack|12
NMP|number of packs|pack|1
AB|bulk pack|bulk pack|1
KT|kit|kit|1
E27|dose|dose|1
E48|service unit|service unit|1
LS|lump sum|lump sum|1
SX|shipment|shipment|1
MC|microgram|mass|1e-9
MGM|milligram|mass|1e-6
GRM|gram|mass|0.001
HGM|hectogram|mass|0.1
KGM|kilogram|mass|1
DTN|decitonne|mass|100
TNE|tonne|mass|1000
KTN|kilotonne|mass|1000000
CTM|metric carat|mass|0.0002
GRN|grain|mass|0.00006479891
ONZ|ounce (avoirdupois)|mass|0.028349523125
APZ|troy ounce|mass|0.0311034768
LBR|pound|mass|0.45359237
CWA|hundredweight (US)|mass|45.359237
CWI|hundredweight (UK)|mass|50.80234544
STN|ton (US)|mass|907.18474
LTN|ton (UK)|mass|1016.0469088
C45|nanometre|length|1e-9
4H|micrometre|length|1e-6
MMT|millimetre|length|0.001
CMT|centimetre|length|0.01
DMT|decimetre|length|0.1
MTR|metre|length|1
HMT|hectometre|length|100
KMT|kilometre|length|1000
INH|inch|length|0.0254
FOT|foot|length|0.3048
YRD|yard|length|0.9144
SMI|mile|length|1609.344
NMI|nautical mile|length|1852
MMK|square millimetre|area|1e-6
CMK|square centimetre|area|0.0001
DMK|square decimetre|area|0.01
MTK|square metre|area|1
KMK|square kilometre|area|1000000
INK|square inch|area|0.00064516
FTK|square foot|area|0.09290304
YDK|square yard|area|0.83612736
MMQ|cubic millimetre|volume|1e-9
4G|microlitre|volume|1e-9
MLT|millilitre|volume|1e-6
CMQ|cubic centimetre|volume|1e-6
CLT|centilitre|volume|0.00001
DLT|decilitre|volume|0.0001
LTR|litre|volume|0.001
DMQ|cubic decimetre|volume|0.001
HLT|hectolitre|volume|0.1
MTQ|cubic metre|volume|1
K6|kilolitre|volume|1
INQ|cubic inch|volume|0.000016387064
FTQ|cubic foot|volume|0.028316846592
YDQ|cubic yard|volume|0.764554857984
OZA|fluid ounce (US)|volume|0.0000295735295625
OZI|fluid ounce (UK)|volume|0.0000284130625
PTL|liquid pint (US)|volume|0.000473176473
PTI|pint (UK)|volume|0.00056826125
QTL|liquid quart (US)|volume|0.000946352946
QTI|quart (UK)|volume|0.0011365225
GLL|gallon (US)|volume|0.003785411784
GLI|gallon (UK)|volume|0.00454609
BLL|barrel (US)|volume|0.158987294928
B98|microsecond|time|1e-6
C26|millisecond|time|0.001
SEC|second|time|1
MIN|minute|time|60
HUR|hour|time|3600
DAY|day|time|86400
WEE|week|time|604800
MON|month|time|2629800
ANN|year|time|31557600
JOU|joule|energy|1
KJO|kilojoule|energy|1000
3B|megajoule|energy|1000000
GV|gigajoule|energy|1e9
WHR|watt hour|energy|3600
KWH|kilowatt hour|energy|3600000
MWH|megawatt hour|energy|3.6e9
GWH|gigawatt hour|energy|3.6e12
BTU|British thermal unit|energy|1055.05585262
K53|kilocalorie (thermochemical)|energy|4184
E14|kilocalorie (international table)|energy|4186.8
WTT|watt|power|1
KWT|kilowatt|power|1000
MAW|megawatt|power|1000000
PAL|pascal|pressure|1
A97|hectopascal|pressure|100
MBR|millibar|pressure|100
KPA|kilopascal|pressure|1000
BAR|bar|pressure|100000
MPA|megapascal|pressure|1000000
ATM|standard atmosphere|pressure|101325
NEW|newton|force|1
B47|kilonewton|force|1000
NU|newton metre|torque|1
AMP|ampere|electric current|1
4K|milliampere|electric current|0.001
VLT|volt|voltage|1
KVT|kilovolt|voltage|1000
OHM|ohm|resistance|1
COU|coulomb|electric charge|1
AMH|ampere hour|electric charge|3600
HTZ|hertz|frequency|1
KHZ|kilohertz|frequency|1000
MHZ|megahertz|frequency|1000000
RPM|revolutions per minute|frequency|1/60
MTS|metre per second|speed|1
KMH|kilometre per hour|speed|5/18
2M|centimetre per second|speed|0.01
2X|metre per minute|speed|1/60
MQH|cubic metre per hour|flow|1/3600
L2|litre per minute|flow|1/60000
KMQ|kilogram per cubic metre|density|1
23|gram per cubic centimetre|density|1000
GM|gram per square metre|grammage|0.001
28|kilogram per square metre|grammage|1
AD|byte|data|1
2P|kilobyte|data|1000
4L|megabyte|data|1000000
C34|mole|amount of substance|1
C18|millimole|amount of substance|0.001
"""
"""One unit a line. Factors are decimals or fractions, never floats."""
