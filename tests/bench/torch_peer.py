"""torch_peer: what the PyTorch peers of `train` share: models, fused AdamW, the loss (compiled whole or not), an update."""
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


def llama(vocab=4096, layers=6, dim=384, heads=6, mlp=1024, context=512):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=vocab, hidden_size=dim, intermediate_size=mlp, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, max_position_embeddings=context, tie_word_embeddings=True, rms_norm_eps=1e-6,
        use_cache=False))


def gpt2(context=1024):
    """GPT-2 124M; without dropout, as `train` has none."""
    return GPT2LMHeadModel(GPT2Config(n_positions=context, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                                      use_cache=False))


def optimizer(model, lr):
    return torch.optim.AdamW([{'params': [x for x in model.parameters() if x.dim() >= 2], 'weight_decay': 0.1},
                              {'params': [x for x in model.parameters() if x.dim() < 2], 'weight_decay': 0.0}],
                             lr=lr, betas=(0.9, 0.95), eps=1e-8, fused=True)


def loss_function(model, dtype, compiled):
    """nll(x, y, reduction='mean'). Compiled, cross-entropy is inside, so that it is fused, too."""
    autocast = torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype == 'bf16')

    def nll(x, y, reduction='mean'):
        with autocast:
            logits = model(input_ids=x).logits
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction=reduction)

    return torch.compile(nll) if compiled else nll


def update(model, opt, nll, x):
    """One update on rows of context + 1 tokens; the loss as a number."""
    loss = nll(x[:, :-1], x[:, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    return loss.item()
