"""Make a Llama of 0.7 million random weights: vLLM serves it as it would the real one, and it answers in word salad."""

import sys
import sysconfig
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

VOCABULARY = 2048
CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer on Python's own library, the one text every machine has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # so that any text has tokens
        show_progress=False,
    )
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-d]*.py"))
    tokenizer.train_from_iterator((file.read_text(encoding="utf-8", errors="replace") for file in library), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # ships no type
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=CHAT_TEMPLATE,
    )


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(  # type: ignore[no-untyped-call]  # ships no type
        LlamaConfig(  # type: ignore[no-untyped-call]  # ships no type
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=65536,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


if __name__ == "__main__":
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ships no type
    make_tokenizer().save_pretrained(sys.argv[1])
    make_model().save_pretrained(sys.argv[1])
