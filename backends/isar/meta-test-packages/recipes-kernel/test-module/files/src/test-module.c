// SPDX-License-Identifier: GPL-2.0

#include <linux/module.h>

static int __init test_module_init(void)
{
	pr_info("test-module: loaded\n");
	return 0;
}

static void __exit test_module_exit(void)
{
}

module_init(test_module_init);
module_exit(test_module_exit);

MODULE_DESCRIPTION("says that it was loaded");
MODULE_LICENSE("GPL");
