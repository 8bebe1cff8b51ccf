"""The model providers that a config may name: addresses, key names, aliases and how each is spoken to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hermes_iso.agents import ApiMode


@dataclass(frozen=True, slots=True)
class Provider:
    """A known provider. `keys` are the names of its key, best first; no keys means that it needs none.

    base_url_name: the environment name that moves its address, '' where Hermes has none.
    slugs: its models are called vendor/name, so a name keeps its slash.
    """

    id: str
    base_url: str
    keys: tuple[str, ...] = ()
    base_url_name: str = ""
    api_mode: ApiMode = "chat_completions"
    aliases: tuple[str, ...] = ()
    slugs: bool = False


_LIST = (
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        "OPENROUTER_BASE_URL",
        aliases=("or",),
        slugs=True,
    ),
    Provider("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), "OPENAI_BASE_URL", aliases=("openai-api",)),
    Provider(
        "anthropic",
        "https://api.anthropic.com",
        ("ANTHROPIC_API_KEY", "ANTHROPIC_TOKEN"),
        "ANTHROPIC_BASE_URL",
        "anthropic_messages",
        aliases=("claude", "claude-code"),
    ),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        aliases=("google", "google-gemini", "google-ai-studio"),
    ),
    Provider("deepseek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), "DEEPSEEK_BASE_URL"),
    Provider("groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",), slugs=True),
    Provider("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), aliases=("mistralai",)),
    Provider("xai", "https://api.x.ai/v1", ("XAI_API_KEY",), "XAI_BASE_URL", aliases=("grok", "x-ai", "x.ai")),
    Provider("together", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",), aliases=("togetherai",), slugs=True),
    Provider(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY",),
        aliases=("fireworks-ai", "fw"),
        slugs=True,
    ),
    Provider(
        "kimi-coding",
        "https://api.moonshot.ai/v1",
        ("KIMI_API_KEY", "KIMI_CODING_API_KEY", "MOONSHOT_API_KEY"),
        "KIMI_BASE_URL",
        aliases=("kimi", "moonshot", "moonshotai", "kimi-for-coding"),
    ),
    Provider("kimi-coding-cn", "https://api.moonshot.cn/v1", ("KIMI_CN_API_KEY",), aliases=("kimi-cn", "moonshot-cn")),
    Provider(
        "zai",
        "https://api.z.ai/api/paas/v4",
        ("GLM_API_KEY", "ZAI_API_KEY", "Z_AI_API_KEY"),
        "GLM_BASE_URL",
        aliases=("glm", "z-ai", "z.ai", "zhipu"),
    ),
    Provider(
        "minimax",
        "https://api.minimax.io/anthropic",
        ("MINIMAX_API_KEY",),
        "MINIMAX_BASE_URL",
        "anthropic_messages",
        aliases=("mini-max",),
    ),
    Provider(
        "minimax-cn",
        "https://api.minimaxi.com/anthropic",
        ("MINIMAX_CN_API_KEY",),
        "MINIMAX_CN_BASE_URL",
        "anthropic_messages",
        aliases=("minimax-china", "minimax_cn"),
    ),
    Provider(
        "alibaba",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        ("DASHSCOPE_API_KEY",),
        "DASHSCOPE_BASE_URL",
        aliases=("dashscope", "alibaba-cloud", "qwen-dashscope"),
    ),
    Provider(
        "alibaba-coding-plan",
        "https://coding-intl.dashscope.aliyuncs.com/v1",
        ("ALIBABA_CODING_PLAN_API_KEY", "DASHSCOPE_API_KEY"),
        "ALIBABA_CODING_PLAN_BASE_URL",
        aliases=("alibaba-coding", "alibaba_coding", "dashscope-coding"),
    ),
    Provider(
        "nvidia",
        "https://integrate.api.nvidia.com/v1",
        ("NVIDIA_API_KEY",),
        "NVIDIA_BASE_URL",
        aliases=("nvidia-nim", "nim"),
        slugs=True,
    ),
    Provider(
        "huggingface",
        "https://router.huggingface.co/v1",
        ("HF_TOKEN",),
        "HF_BASE_URL",
        aliases=("hf", "hugging-face"),
        slugs=True,
    ),
    Provider(
        "nous",
        "https://inference-api.nousresearch.com/v1",
        ("NOUS_API_KEY",),
        "NOUS_BASE_URL",
        aliases=("nous-portal", "nousresearch"),
        slugs=True,
    ),
    Provider("stepfun", "https://api.stepfun.ai/step_plan/v1", ("STEPFUN_API_KEY",), "STEPFUN_BASE_URL", aliases=("step",)),
    Provider("arcee", "https://api.arcee.ai/api/v1", ("ARCEEAI_API_KEY",), "ARCEE_BASE_URL", aliases=("arcee-ai", "arceeai")),
    Provider(
        "gmi", "https://api.gmi-serving.com/v1", ("GMI_API_KEY",), "GMI_BASE_URL", aliases=("gmi-cloud", "gmicloud"), slugs=True
    ),
    Provider(
        "opencode-zen",
        "https://opencode.ai/zen/v1",
        ("OPENCODE_ZEN_API_KEY",),
        "OPENCODE_ZEN_BASE_URL",
        aliases=("opencode", "zen"),
    ),
    Provider("opencode-go", "https://opencode.ai/zen/go/v1", ("OPENCODE_GO_API_KEY",), "OPENCODE_GO_BASE_URL"),
    Provider(
        "kilocode",
        "https://api.kilo.ai/api/gateway",
        ("KILOCODE_API_KEY",),
        "KILOCODE_BASE_URL",
        aliases=("kilo", "kilo-code"),
        slugs=True,
    ),
    Provider("xiaomi", "https://api.xiaomimimo.com/v1", ("XIAOMI_API_KEY",), "XIAOMI_BASE_URL", aliases=("mimo",)),
    Provider(
        "tencent-tokenhub",
        "https://tokenhub.tencentmaas.com/v1",
        ("TOKENHUB_API_KEY",),
        "TOKENHUB_BASE_URL",
        aliases=("tencent", "tokenhub"),
    ),
    Provider(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        ("DEEPINFRA_API_KEY",),
        "DEEPINFRA_BASE_URL",
        aliases=("deep-infra",),
        slugs=True,
    ),
    Provider(
        "novita", "https://api.novita.ai/openai/v1", ("NOVITA_API_KEY",), "NOVITA_BASE_URL", aliases=("novita-ai",), slugs=True
    ),
    Provider("upstage", "https://api.upstage.ai/v1", ("UPSTAGE_API_KEY",), "UPSTAGE_BASE_URL", aliases=("solar",)),
    Provider("perplexity", "https://api.perplexity.ai", ("PERPLEXITY_API_KEY",)),
    Provider("ollama-cloud", "https://ollama.com/v1", ("OLLAMA_API_KEY",), aliases=("ollama_cloud",)),
    Provider("azure-foundry", "", ("AZURE_FOUNDRY_API_KEY",), "AZURE_FOUNDRY_BASE_URL", aliases=("azure", "azure-ai")),
    Provider("lmstudio", "http://127.0.0.1:1234/v1", (), "LM_BASE_URL", aliases=("lm-studio", "lm_studio"), slugs=True),
    Provider("ollama", "http://127.0.0.1:11434/v1", (), "OLLAMA_BASE_URL", slugs=True),
    Provider("vllm", "http://127.0.0.1:8000/v1", (), slugs=True),
    Provider("llamacpp", "http://127.0.0.1:8080/v1", (), aliases=("llama.cpp", "llama-cpp"), slugs=True),
    Provider("custom", "", (), slugs=True, aliases=("local",)),
    Provider("builtin", "", (), api_mode="offline"),
)
PROVIDERS: Mapping[str, Provider] = {
    **{alias: provider for provider in _LIST for alias in provider.aliases},
    **{provider.id: provider for provider in _LIST},
}
"""Every provider under its id and its aliases."""
NEEDS_LOGIN = frozenset(
    re.findall(
        r"\S+",
        "openai-codex codex xai-oauth qwen-oauth minimax-oauth copilot copilot-acp github-copilot bedrock aws vertex",
    )
)
"""Hermes' providers that need a login of Hermes' own or another protocol, and are not available here yet."""


def resolvable(known: Mapping[str, str]) -> Provider | None:
    """Return the provider whose key is at hand when a config names none: OpenRouter first, as Hermes does."""
    for provider in _LIST:
        if any(known.get(name) for name in provider.keys):
            return provider
    return None


def provider_at(url: str) -> Provider | None:
    """Return the provider whose own address this is, when it needs a key: that key may go there, as nowhere else."""
    return next((provider for provider in _LIST if provider.keys and provider.base_url == url.rstrip("/")), None)
