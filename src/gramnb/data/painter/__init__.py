"""The painter of the demo images: from documented factors to small scenes, drawn with Pillow.

`Factors` describe a picture, `paint` draws it, `brushwork` turns a picture into a painting.
"""

from gramnb.data.painter.brush import brushwork
from gramnb.data.painter.factors import Factors
from gramnb.data.painter.scenes import paint

__all__ = ["Factors", "brushwork", "paint"]
