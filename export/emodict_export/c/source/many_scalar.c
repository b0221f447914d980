/* As many bins at a time as there are registers for. */
#define MANY 4
#define many four
#define many_all all
#define many_read read
#define many_put put
#define many_plus plus
#define many_times times
#define many_plus_product plus_product
