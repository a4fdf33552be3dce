"""Resolvers of configurations, wherever Hydra composes them, also in a notebook.

``${data_folder:}`` is ``AVFUSION_DATA``, or ``data`` where that is unset or empty, which
``${oc.env:AVFUSION_DATA,data}`` would take for the root of the file system.
"""

from omegaconf import OmegaConf

from avfusion.files import data_folder

OmegaConf.register_new_resolver("data_folder", data_folder, replace=True)
