"""What tests of live runs share."""

import atexit
import os
import shutil
import tempfile
import uuid
from pathlib import Path

# LSL on this machine alone, and in a session of its own, so that no stream of another program
# is seen. The library reads its configuration once in a process, so this is set before any
# test can have loaded it.
_FOLDER = Path(tempfile.mkdtemp(prefix="emodict-lsl-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_CONFIG = _FOLDER / "lsl_api.cfg"
_CONFIG.write_text(
    "[ports]\nIPv6 = disable\n"
    "[multicast]\nResolveScope = machine\n"
    f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = emodict-{uuid.uuid4().hex}\n"
)
os.environ["LSLAPICFG"] = str(_CONFIG)
