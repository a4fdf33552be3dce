"""Gallery: the same clips, as several networks saw them."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from avfusion.figures.clip import Area, ClipView, draw_picture
from avfusion.figures.style import RIGHT, WRONG

PICTURE_INCHES = 1.7  # inches of a picture


def gallery_figure(rows: Mapping[str, Sequence[ClipView]]) -> Figure:
    """Draw a named row of clips, each under the mean of its glimpses and with its prediction.

    What is true stands above what is answered: in green where they agree, else in orange.
    """
    most = max(len(views) for views in rows.values())
    size = (PICTURE_INCHES * most + 0.9, (PICTURE_INCHES + 0.5) * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(rows), most, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()

    for line, (name, views) in zip(panels, rows.items(), strict=True):
        line[0].text(-0.08, 0.5, name, transform=line[0].transAxes, ha="right", va="center")
        for axes, view in zip(line, views, strict=False):
            heat = None if view.glimpses is None else view.glimpses.float().mean(dim=0)[0]
            heat = None if heat is None or heat.numel() == 1 else heat  # a step has no position
            height, width = view.face.shape[-2:]
            draw_picture(axes, view, 0, heat, Area(0, 0, width, height))
            color = {True: RIGHT, False: WRONG, None: "black"}[view.right]
            words = view.answer.replace("predicted: ", "").split("   ")
            axes.set_title("\n".join(words[:2]), fontsize=7, color=color, pad=3)

    return figure
