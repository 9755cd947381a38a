"""Models that answer prompts about pictures and text; `longshot list chat_models` names them."""
