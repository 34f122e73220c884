"""GPT-OSS Harmony: rendering, parsing and loss masks, exact to the token.

conversation -> render_prompt  -> ids the model sees
             -> render_samples -> ids with the mask of what the model emits
ids          -> parse_completion -> messages, final, calls, or why not
"""

from castalia.harmony.foreign import foreign_vocabulary
from castalia.harmony.gpt_oss import gpt_oss_vocabulary
from castalia.harmony.parse import Parsed, Status, parse_completion
from castalia.harmony.render import Part, render_prompt
from castalia.harmony.samples import PartWeights, Sample, render_samples
from castalia.harmony.style import Dialect, Style
from castalia.harmony.vocabulary import HARMONY_TOKENS, Vocabulary

__all__ = [
    "HARMONY_TOKENS",
    "Dialect",
    "Parsed",
    "Part",
    "PartWeights",
    "Sample",
    "Status",
    "Style",
    "Vocabulary",
    "foreign_vocabulary",
    "gpt_oss_vocabulary",
    "parse_completion",
    "render_prompt",
    "render_samples",
]
