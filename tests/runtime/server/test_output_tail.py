from pilotlight.runtime.server.output_tail import Tail


def test_all_of_a_little():
    tail = Tail()
    for line in ("one", "", "drei ü"):
        tail.append(line)
    assert str(tail) == "one\n\ndrei ü"
    assert tail.printed_bytes == len("one\n\ndrei ü\n".encode())


def test_many_lines_keep_the_last_2000():
    tail = Tail()
    for number in range(5000):
        tail.append(str(number))
    assert str(tail).split("\n") == [str(number) for number in range(3000, 5000)]


def test_long_lines_keep_a_million_characters_and_always_the_last_line():
    tail = Tail()
    for letter in "abcd":
        tail.append(letter * 400_000)
    assert str(tail) == "c" * 400_000 + "\n" + "d" * 400_000
    tail.append("e" * 3_000_000)
    assert str(tail) == "e" * 3_000_000
    assert tail.printed_bytes == 4 * 400_001 + 3_000_001


def test_cleared_it_still_knows_how_much_there_was():
    tail = Tail()
    tail.append("one")
    tail.clear()
    assert (str(tail), tail.printed_bytes) == ("", 4)
