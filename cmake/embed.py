"""Writes a C++ source file with a function that returns the bytes of a file: embed.py INPUT NAME OUTPUT"""
import os
import sys

PLAIN = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}


def literal(data: bytes) -> str:
    # Octal escapes have at most three digits, so a digit that follows cannot become a part of them.
    return '"' + "".join(PLAIN.get(byte) or f"\\{byte:03o}" for byte in data) + '"'


def main(source: str, name: str, output: str) -> None:
    with open(source, "rb") as file:
        data = file.read()
    lines = [literal(data[start:start + 100]) for start in range(0, len(data), 100)] or ['""']
    text = ("#include <string_view>\n\nnamespace tidemill::embedded {\n\n"
            f"std::string_view {name}();\n\n"
            f"std::string_view {name}() {{\n  static constexpr char kBytes[] =\n      " + "\n      ".join(lines) +
            f";\n  return {{kBytes, {len(data)}}};\n}}\n\n}}  // namespace tidemill::embedded\n")
    os.makedirs(os.path.dirname(output), exist_ok=True)
    with open(output, "w", encoding="ascii") as file:
        file.write(text)


main(*sys.argv[1:])
