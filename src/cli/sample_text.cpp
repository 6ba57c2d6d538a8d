#include "cli/sample_text.h"

namespace hearth::cli {

const std::string_view kSampleText = R"(The lighthouse had been dark for eleven years when the council voted to light it again. Nobody needed it: the ferries carried receivers that knew their place to within a metre, and the fishing boats had gone to the larger harbour in the south. But the schoolteacher argued that a coast without a light is a coast without a name, and the vote was nine to four.

The lens had survived. It stood in its iron cage like a great glass beehive, each ring of prisms ground by hand in 1874, and when the caretaker wiped away the dust it threw small rainbows on the whitewashed wall. The clockwork had not been so lucky. Salt had eaten the governor, and a family of jackdaws had carried off most of the copper wire. "We can buy a motor," said the caretaker. "Nobody will know." "I will know," said the teacher.

User: How do I reverse a list in Python without changing the original?
Assistant: Use slicing or the built-in function `reversed`. Slicing makes a new list at once; `reversed` gives an iterator, which you can turn into a list:

```python
numbers = [3, 1, 4, 1, 5, 9]
backwards = numbers[::-1]
also_backwards = list(reversed(numbers))
assert backwards == also_backwards
assert numbers == [3, 1, 4, 1, 5, 9]
```

If you want to change the list itself, call `numbers.reverse()`, which returns nothing.

User: And in C++?
Assistant: There are views for that since C++20:

```cpp
#include <ranges>
#include <vector>
#include <cstdio>

int main() {
  const std::vector<int> numbers = {3, 1, 4, 1, 5, 9};
  for (const int n : numbers | std::views::reverse) std::printf("%d\n", n);
}
```

Water boils at 100 degrees Celsius at sea level, at about 95 in Madrid, and at 68 on the top of Everest, since the pressure of the air falls by half with every 5.5 kilometres of height. That is why pasta takes longer in the mountains, and why a pressure cooker, which doubles the pressure and raises the boiling point to 121 degrees, cooks beans in a third of the time.

The recipe for two people:
1. 200 g of flour and two eggs; knead for ten minutes and let the dough rest for thirty.
2. Roll it out until you can see your hand through it, and cut it into strips of 6 mm.
3. Boil them in plenty of salted water for 90 seconds. Keep a cup of the water.
4. Melt 40 g of butter with eight leaves of sage, add the pasta and a little of the water, and serve with cheese.

Dear Ms Okafor, thank you for your letter of 3 March about invoice 20417. You are right that we charged the delivery twice. We have credited 18.50 to your account, which you will see on your next statement, and we have asked the warehouse to check the other orders of that week. Please accept our apologies for the trouble. Yours sincerely, Daniel Roth, customer accounts.

In the summer of 1816 it rained in Geneva for 130 days. The year before, a mountain on the other side of the world had thrown so much ash into the sky that the sun looked like a coin behind paper. Crops failed from Ireland to the Balkans; horses were eaten, and a baron in Karlsruhe who could no longer feed his built a running machine of two wheels to replace them. On the shore of the lake, kept indoors by the weather, four friends told one another ghost stories, and the youngest of them, who was eighteen, could think of nothing until the night when she dreamt of a student kneeling beside the thing that he had put together.

{"order": {"id": 20417, "items": [{"sku": "LMP-0091", "count": 2, "price": 14.25}, {"sku": "BLB-0440", "count": 12, "price": 1.10}], "total": 41.70, "currency": "EUR", "paid": true}}

A train leaves the city at 9:40 and travels at 80 kilometres an hour; another leaves the same station at 10:10 on the same line at 120. When the second one starts, the first is half an hour, and so 40 kilometres, ahead. It comes nearer by 40 kilometres every hour, so it needs one hour: they meet at 11:10, 120 kilometres from the city.

Der Zug hatte Verspätung, also setzten wir uns in das Café am Bahnhof und bestellten zwei Tassen Kaffee. Il pleuvait depuis le matin, et personne n'avait pensé à prendre un parapluie. "No pasa nada", dijo mi abuela, "la lluvia también tiene que caer en alguna parte."

The difference between a good question and a bad one is seldom the answer. A bad question wants to be finished; a good one leaves you with a better question than the one you came with, and the sense that the world is a little larger than it was at breakfast.
)";

}  // namespace hearth::cli
