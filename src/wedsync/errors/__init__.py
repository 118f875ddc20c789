"""What can go wrong, each with a fixed code, what was seen and what to do next.

A class is written in the module of its area and imported from here. Its code says which: WS1xx configuration
and set-up, WS2xx cluster and database, WS3xx backup, WS4xx recovery, WS5xx migrations, WS6xx demo and tenants,
WS8xx HTTP. Each has its own heading in `docs/reference/errors.md`, which is generated from these classes.
"""

from wedsync.errors.backup import *
from wedsync.errors.base import *
from wedsync.errors.copies import *
from wedsync.errors.database import *
from wedsync.errors.drills import *
from wedsync.errors.http import *
from wedsync.errors.migrations import *
from wedsync.errors.recovery import *
from wedsync.errors.regions import *
from wedsync.errors.rows import *
from wedsync.errors.setup import *
from wedsync.errors.tenants import *
