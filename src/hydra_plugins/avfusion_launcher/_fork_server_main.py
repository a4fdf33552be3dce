"""Program of the fork server: started as a script, with the script of the jobs as an argument."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Where Python would look first, running the script itself; this file is no part of a package.
    sys.path[: 0 if sys.flags.safe_path else 1] = [str(Path(sys.argv[1]).resolve().parent)]
    from hydra_plugins.avfusion_launcher import _fork_server

    _fork_server.main(Path(sys.argv[1]))
