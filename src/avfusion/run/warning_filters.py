"""Filters for warnings that mislead here, and for advertisements; importing installs them."""

import logging
import warnings

# A store is read faster by the process that trains than through workers.
warnings.filterwarnings("ignore", ".*does not have many workers.*")
# Metrics are computed over all processes before they are logged.
warnings.filterwarnings("ignore", ".*sync_dist=True.*")
# Frozen parts of encoders and of a loss are in eval mode; the summary counts them.
warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning 2.6 on torch 2.15

ADVERTISEMENTS = ("💡 Tip", "TPU available: False", "Loading `train_dataloader` to estimate")
logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
    lambda record: not record.getMessage().startswith(ADVERTISEMENTS)
)
# Lightning prints by itself, and passes its lines to Hydra's handlers where there are any.
if logging.getLogger().handlers:
    logging.getLogger("lightning").handlers.clear()
