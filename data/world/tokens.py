"""The special tokens and the chat template of the demo models."""

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL = (STOP, START, END)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
