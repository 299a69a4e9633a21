# Accounts of the image: USERS and GROUPS name them, the flags of USER_<name> and GROUP_<name> describe them.

USERS ??= ""
GROUPS ??= ""

python() {
    for g in (d.getVar('GROUPS') or '').split():
        d.appendVarFlag('image_postprocess_accounts', 'vardeps', ' GROUP_' + g)
    for u in (d.getVar('USERS') or '').split():
        d.appendVarFlag('image_postprocess_accounts', 'vardeps', ' USER_' + u)
}

ROOTFS_POSTPROCESS_COMMAND += "image_postprocess_accounts"
image_postprocess_accounts[vardeps] += "USERS GROUPS"
image_postprocess_accounts() {
    n3x_native image.accounts
}
