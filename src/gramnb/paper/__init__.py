"""The paper: its printed numbers, what follows from them, and an audit of its claims.

Motiejauskas and Dzemyda, International Journal of Computers Communications & Control 19(5), 6697,
2024. What is printed stands in CSV files beside this module, each row with its section: numbers and
counts of images, Tables 1 and 2 (stages), Tables 4 to 6 (scores; averages over 5 runs). Cells that
the text at hand has lost are empty, among them all of Table 3. Shares are 0-1.
"""

from gramnb.paper.claims import audit, paired_error
from gramnb.paper.printed import (
    CLAIMS,
    DATA,
    SCORES,
    SETTINGS,
    STAGES,
    attrition,
    operating_points,
    supports,
    table3,
    table4,
    table5,
    table6,
)
